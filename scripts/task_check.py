"""Tests task folders: metadata, scripts, data, answers to bad and good submissions.

python scripts/task_check.py                          all tasks
python scripts/task_check.py --task=NAME --notrain    one task, without training its starter
"""

from pathlib import Path

from absl import flags

from aira_jax.core import cli
from aira_jax.tasks import check, loader

_TASK = flags.DEFINE_string("task", "all", "Name of a task, or all.")
_FOLDER = flags.DEFINE_string("folder", None, "A task folder outside the package, instead of --task.")
_TRAIN = flags.DEFINE_bool("train", True, "Train and score the starter in the smoke profile.")


def main(argv):
    del argv
    failed = 0
    for folder in _folders():
        print(folder.name)
        for finding in check.check(folder, train=_TRAIN.value):
            print(f"  {'ok  ' if finding.holds else 'FAIL'}  {finding.claim} ({finding.seconds:.1f} s)", flush=True)
            failed += not finding.holds
            for line in finding.problem.splitlines():
                print(f"          {line}")
    print("all claims hold" if not failed else f"{failed} claims do not hold")
    return int(failed > 0)


def _folders() -> list[Path]:
    if _FOLDER.value:
        return [Path(_FOLDER.value).absolute()]
    names = loader.names() if _TASK.value == "all" else [_TASK.value]
    return [loader.load(name).folder for name in names]


if __name__ == "__main__":
    cli.run(main)
