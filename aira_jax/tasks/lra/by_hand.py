"""Scores a model.py on a task by the task's own evaluator: trained in a sandbox, scored on rows that it never saw.

    python scripts/lra_evaluate.py --task=listops --submission-file=model.py --split=validation --profile=smoke

--task is listops, text, retrieval, recall or needle (with --configurable, the model.py chooses its settings), or the
name of a task folder. All other flags are those of the folder's evaluate.py, which see: --help after a task.
"""

import argparse
import sys
from collections.abc import Sequence

from aira_jax.core import choices
from aira_jax.tasks import loader
from aira_jax.tasks.lra import scripts
from aira_jax.tasks.lra.preparing import Task

FOLDERS = {
    "listops": "LongContextReasoningLRAListOps{}Accuracy",
    "text": "LongContextReasoningLRAText{}Accuracy",
    "retrieval": "LongContextReasoningLRARetrieval{}Accuracy",
    "recall": "LongContextReasoningRecallAccuracy",
    "needle": "LongContextReasoningNeedleAccuracy",
}


def posed(task: str, *, configurable: bool = False) -> Task:
    """The task by its short name or its folder's. Raises ValueError if it is unknown or has no configurable form."""
    names = {pattern.format(setup): short for short, pattern in FOLDERS.items() for setup in ("", "Configurable")}
    choices.among("task", task, (*FOLDERS, *names))
    name = task if task in names else FOLDERS[task].format("Configurable" if configurable else "")
    if configurable and "Configurable" not in name:
        raise ValueError(f"--configurable: {task} has fixed settings; leave it out, or name the configurable folder")
    return Task.of(loader.load(name).folder)


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 scored, 2 invalid submission or flags, 3 the candidate failed, 1 a defect of ours."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], add_help=False)
    names = ", ".join(FOLDERS)
    parser.add_argument("--task", help=f"{names}, or the name of a task folder; its other flags: --task=TASK --help")
    parser.add_argument("--configurable", action="store_true", help="the model.py chooses its settings")
    options, rest = parser.parse_known_args(argv)
    if options.task is None:
        if not {"-h", "--help"} & set(rest):
            parser.error("--task is missing")
        parser.print_help()
        return 0
    try:
        task = posed(options.task, configurable=options.configurable)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return scripts.evaluate(task, rest)
