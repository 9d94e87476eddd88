"""Tests task folders: metadata, scripts, data, answers to bad and good submissions.

python scripts/task_check.py                          all tasks
python scripts/task_check.py --task=NAME --notrain    one task, without training its starter
"""

from pathlib import Path

from absl import flags

from aira_jax.core import cli
from aira_jax.core.machine import ROOT
from aira_jax.tasks import check, loader

EXAMPLES = ROOT / "tests" / "tasks" / "examples"

_TASK = flags.DEFINE_string("task", "all", "Name of a task, or all.")
_FOLDER = flags.DEFINE_string("folder", None, "A task folder outside the package, instead of --task.")
_EXAMPLES = flags.DEFINE_string(
    "examples", None, "Folder with broken/ and failing/ submissions; default: the task's own, for ours in tests/."
)
_TRAIN = flags.DEFINE_bool("train", True, "Train and score the starter in the smoke profile.")


def main(argv):
    del argv
    failed = 0
    for folder in _folders():
        print(folder.name)
        for finding in check.check(folder, train=_TRAIN.value, examples=_examples(folder)):
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
