"""Tests task folders: metadata, scripts, data, answers to bad and good submissions.

python scripts/task_check.py                          all tasks
python scripts/task_check.py --task=NAME --notrain    one task, without training its starter
python scripts/task_check.py --folder=PATH            a folder of someone else's, by the rules of the published format
"""

from pathlib import Path

from absl import flags

from aira_jax.core import cli
from aira_jax.core.machine import ROOT
from aira_jax.tasks import check, loader, schema

EXAMPLES = ROOT / "tests" / "tasks" / "examples"

_TASK = flags.DEFINE_string("task", "all", "Name of a task, or all.")
_FOLDER = flags.DEFINE_string("folder", None, "A task folder outside the package, instead of --task.")
_EXAMPLES = flags.DEFINE_string(
    "examples", None, "Folder with broken/ and failing/ submissions; default: the task's own, for ours in tests/."
)
_STRICT = flags.DEFINE_bool(
    "strict", None, "Our own rules, not the published format's; default: for folders inside the package."
)
_DATA_ROOT = flags.DEFINE_string("data_root", None, "Where raw/ holds what the folder's scripts read.")
_TRAIN = flags.DEFINE_bool("train", True, "Train and score the starter in the smoke profile.")


def main(_):
    failed = 0
    data_root = None if _DATA_ROOT.value is None else Path(_DATA_ROOT.value)
    rules = None if _STRICT.value is None else schema.Rules.OWN if _STRICT.value else schema.Rules.FORMAT
    for folder in _folders():
        print(folder.name)
        options = {"rules": rules, "data_root": data_root, "examples": _examples(folder)}
        for finding in check.check(folder, train=_TRAIN.value, **options):
            print(f"  {'ok  ' if finding.holds else 'FAIL'}  {finding.claim} ({finding.seconds:.1f} s)", flush=True)
            failed += not finding.holds
            for line in finding.problem.splitlines():
                print(f"          {line}")
    print("all claims hold" if not failed else f"{failed} claims do not hold")
    return int(failed > 0)


def _examples(folder: Path) -> Path | None:
    if _EXAMPLES.value:
        return Path(_EXAMPLES.value)
    kept_apart = EXAMPLES / folder.name
    return kept_apart if folder.parent == loader.FOLDER and kept_apart.is_dir() else None


def _folders() -> list[Path]:
    if _FOLDER.value:
        return [Path(_FOLDER.value).absolute()]
    names = loader.names() if _TASK.value == "all" else [_TASK.value]
    return [loader.load(name).folder for name in names]


if __name__ == "__main__":
    cli.run(main)
