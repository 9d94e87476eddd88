"""prepare.py and evaluate_prepare.py of the Long Range Arena tasks (and of recall and needle)."""

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from aira_jax.tasks import preparation
from aira_jax.tasks.lra import raw_data
from aira_jax.tasks.manifests import MANIFEST
from lra import settings as lra_settings

if TYPE_CHECKING:
    from lra.data import store

MODEL = "model.py"
PUBLIC_SEED = 0
CORPORA = {task: kind for kind, task in raw_data.TASKS.items()}


@dataclasses.dataclass(frozen=True)
class Task:
    """Which task of `lra` a folder (that of evaluate.py) poses, and whether its candidates choose the settings."""

    name: str
    folder: Path
    configurable: bool = False

    @property
    def profiles(self) -> tuple[str, ...]:
        return tuple(profile for task, profile in lra_settings.PROFILES if task == self.name)

    def source(self, raw: Path | None = None) -> raw_data.Choice | None:
        """The raw data of the task, None where its rows are generated."""
        return raw_data.choose(CORPORA[self.name], raw) if self.name in CORPORA else None

    @classmethod
    def of(cls, folder: Path) -> "Task":
        """That of a task folder, by the `dataset` of its metadata.yaml: LRAListOpsConfigurable, for example."""
        told = yaml.safe_load((folder / "metadata.yaml").read_text(encoding="utf-8"))["logging_info"]["dataset"]
        name = told.removeprefix("LRA").removesuffix("Configurable").lower()
        return cls(name, folder, configurable=told.endswith("Configurable"))


def prepare(task: Task, argv: Sequence[str] | None = None) -> int:
    """prepare.py: writes what the agent may see. Raw data are found as raw_data.py says."""
    arguments = preparation.parse(argv, profiles=task.profiles)

    def write(dataset: "store.Dataset") -> None:
        from aira_jax.tasks.lra import task_data

        own = arguments.self_reported
        task_data.write_agent(arguments.mount, dataset, profile=arguments.profile, self_reported=own)

    return _prepared(task, arguments, write)


def evaluate_prepare(task: Task, argv: Sequence[str] | None = None) -> int:
    """evaluate_prepare.py: writes the rows of one split that are scored, and their labels for the evaluator only."""
    arguments = preparation.parse(argv, profiles=task.profiles)

    def write(dataset: "store.Dataset") -> None:
        from aira_jax.tasks.lra import task_data

        _refuse_agent_mount(arguments.mount)
        task_data.write_labels(arguments.mount, dataset, profile=arguments.profile, split=arguments.split)
        preparation.copy_submission(arguments, MODEL)

    return _prepared(task, arguments, write)


def _prepared(task: Task, arguments: preparation.Arguments, write: Callable[["store.Dataset"], None]) -> int:
    """Makes the data set and runs `write` on it."""

    def run() -> None:
        with made(task, arguments.profile, arguments.raw) as dataset:
            _keep_apart(arguments.mount, dataset.folder)
            write(dataset)

    return preparation.ending(run)


@contextlib.contextmanager
def made(task: Task, profile: str, raw: Path | None) -> Iterator["store.Dataset"]:
    """The whole data set of a profile, in a folder that is removed afterwards."""
    from aira_jax.tasks.lra import task_data

    choice = task.source(raw)
    if choice is not None and not choice.files and profile in raw_data.STAND_IN_PROFILES:
        print(f"{raw_data.VARIABLE} names no data: {choice.description} stand in", file=sys.stderr)
    with preparation.private("lra-data-") as folder:
        seed = preparation.data_seed(PUBLIC_SEED)
        yield task_data.make(task.name, profile, seed, choice, folder / "data")


def _refuse_agent_mount(mount: Path) -> None:
    for folder in (mount.resolve(), *mount.resolve().parents):
        if (folder / "train" / MANIFEST).exists():
            raise ValueError(
                f"--agent-data-mount-dir={mount} lies in {folder}, which holds what candidates see: labels need a "
                "folder of their own"
            )


def _keep_apart(mount: Path, source: Path) -> None:
    if mount.resolve().is_relative_to(source.resolve()):
        raise ValueError(f"--agent-data-mount-dir={mount} lies inside the data set {source}; choose another folder")
