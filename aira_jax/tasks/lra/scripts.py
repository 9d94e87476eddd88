"""The scripts of the Long Range Arena tasks (and of recall and needle): prepare, label, evaluate.

A candidate is a model.py. `check` reads it as text (submission.py); `fit` trains it on the train rows in a sandbox
and answers rows without labels (fit.py); `score` compares the answers (score.py). Imports no array library.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aira_jax.tasks import evaluation, fitting, preparation
from aira_jax.tasks.evaluation import Arguments, EvaluatorError, Score, Stage
from aira_jax.tasks.lra import fit, raw_data
from aira_jax.tasks.lra.submission import MODEL, Candidate, Task, check
from aira_jax.tasks.manifests import MANIFEST

if TYPE_CHECKING:
    from lra.data import store

METRIC = "Accuracy"
PUBLIC_SEED = 0
REPORT = "evaluation_report.json"


def prepare(task: Task, argv: Sequence[str] | None = None) -> int:
    """prepare.py: writes what the agent may see. Raw data are found as raw_data.py says."""
    arguments = preparation.parse(argv, profiles=task.profiles)
    from aira_jax.tasks.lra import task_data

    def write(dataset: "store.Dataset") -> None:
        own = arguments.self_reported
        task_data.write_agent(arguments.mount, dataset, profile=arguments.profile, self_reported=own)

    return _prepared(task, arguments, write)


def evaluate_prepare(task: Task, argv: Sequence[str] | None = None) -> int:
    """evaluate_prepare.py: writes the rows of one split that are scored, and their labels for the evaluator only."""
    arguments = preparation.parse(argv, profiles=task.profiles)
    from aira_jax.tasks.lra import task_data

    def write(dataset: "store.Dataset") -> None:
        _refuse_agent_mount(arguments.mount)
        task_data.write_labels(arguments.mount, dataset, profile=arguments.profile, split=arguments.split)
        preparation.copy_submission(arguments, MODEL)

    return _prepared(task, arguments, write)


def evaluate(task: Task, argv: Sequence[str] | None = None) -> int:
    """evaluate.py: trains the submitted model from scratch and scores it. Returns the exit code.

    By hand (stage all) the details go to evaluation_report.json unless --result-file names another place.
    """
    argv = sys.argv[1:] if argv is None else argv
    arguments = evaluation.parse(argv, submission=MODEL, profiles=task.profiles)
    if arguments.stage is Stage.ALL and arguments.result_file is None:
        argv = [*argv, f"--result-file={arguments.workdir / REPORT}"]
    return evaluation.run(
        METRIC,
        submission=MODEL,
        profiles=task.profiles,
        check=lambda path: check(task, path, arguments.profile),
        fit=lambda arguments, candidate: fit.fit(task, arguments, candidate),
        score=lambda arguments, candidate: _score(task, arguments, candidate),
        argv=argv,
    )


def _prepared(task: Task, arguments: preparation.Arguments, write: Callable[["store.Dataset"], None]) -> int:
    """Makes the data set and runs `write`; what is wrong with the raw data ends with a message and exit 2."""
    try:
        with _dataset(task, arguments.profile, arguments.raw) as dataset:
            _keep_apart(arguments.mount, dataset.folder)
            write(dataset)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


@contextlib.contextmanager
def _dataset(task: Task, profile: str, raw: Path | None) -> Iterator["store.Dataset"]:
    """The whole data set, in a folder that is removed afterwards."""
    from aira_jax.tasks.lra import task_data

    choice = task.source(raw)
    if choice is not None and not choice.files and profile in raw_data.STAND_IN_PROFILES:
        print(f"{raw_data.VARIABLE} names no data: {choice.description} stand in", file=sys.stderr)
    with fitting.private("lra-data-") as folder:
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


def _score(task: Task, arguments: Arguments, candidate: Candidate) -> Score:
    """The accuracy of the answers; stage all lets a sandbox give them first."""
    from aira_jax.tasks.lra import score

    if arguments.stage is Stage.SCORE:
        return score.compared(arguments, candidate, arguments.data_dir, arguments.workdir)
    with (
        _mounted(task, arguments) as data,
        fitting.fitted(_fit(task, arguments, candidate, data), arguments) as product,
    ):
        return score.compared(arguments, candidate, data, product)


def _fit(task: Task, arguments: Arguments, candidate: Candidate, data: Path) -> fitting.Fit:
    """The fit by hand, under the limits of metadata.yaml. It sees ./data without the folders of labels."""
    from aira_jax.tasks import loader

    limits = loader.load_folder(task.folder).limits
    folders = [path for path in sorted(data.iterdir()) if path.is_dir()]
    secret = [path for path in folders if path.name.endswith("_with_labels")]
    try:
        choice = task.source()
    except ValueError as error:
        raise EvaluatorError(str(error)) from error
    return fitting.Fit(
        script=task.folder / "evaluate.py",
        artifact=MODEL,
        files={MODEL: candidate.source},
        data=[path for path in folders if path not in secret],
        hidden=[*secret, *(choice.secret if choice else ()), *([arguments.data_dir] if _is_store(arguments) else [])],
        limit_s=arguments.time_limit_s or float(limits["fit_s"]),
        memory_gb=float(limits["memory_gb"]),
    )


@contextlib.contextmanager
def _mounted(task: Task, arguments: Arguments) -> Iterator[Path]:
    """./data as the scripts of the task prepare it; made for this evaluation alone where there is none.

    --data-dir may also name a whole data set of scripts/lra_data.py.
    """
    if arguments.data_dir.exists() and not _is_store(arguments):
        yield arguments.data_dir
        return
    from aira_jax.tasks.lra import task_data

    with fitting.private("lra-mount-") as folder:
        try:
            with _whole(task, arguments) as dataset:
                task_data.write_agent(folder, dataset, profile=arguments.profile)
                task_data.write_labels(folder, dataset, profile=arguments.profile, split=arguments.split)
        except ValueError as error:
            raise EvaluatorError(str(error)) from error
        yield folder


def _whole(task: Task, arguments: Arguments) -> "contextlib.AbstractContextManager[store.Dataset]":
    from lra.data import store

    if _is_store(arguments):
        return contextlib.nullcontext(store.open(arguments.data_dir, task.name))
    print(f"{arguments.data_dir} does not exist: making the data anew", file=sys.stderr)
    return _dataset(task, arguments.profile, None)


def _is_store(arguments: Arguments) -> bool:
    return (arguments.data_dir / "meta.json").is_file()
