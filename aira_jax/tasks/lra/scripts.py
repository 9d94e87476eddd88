"""evaluate.py of the Long Range Arena tasks (and of recall and needle).

A candidate is a model.py. `check` reads it as text (submission.py); `fit` imports it in a sandbox, without data, and
exports its programs (fit.py); `score` trains these and compares their answers (trainer.py, score.py). With
--isolation=process `fit` trains and answers, too. Imports no array library.
"""

import contextlib
import dataclasses
import functools
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aira_jax.tasks import apart, evaluation, fitting, preparation
from aira_jax.tasks.evaluation import Arguments, EvaluatorError, Isolation, Score, Stage
from aira_jax.tasks.lra import fit, preparing
from aira_jax.tasks.lra.preparing import MODEL, Task
from aira_jax.tasks.lra.submission import Candidate, check

if TYPE_CHECKING:
    from lra.data import store

METRIC = "Accuracy"
REPORT = "evaluation_report.json"


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


def _score(task: Task, arguments: Arguments, candidate: Candidate) -> Score:
    """The accuracy of the answers; stage all lets a sandbox export programs or give answers first."""
    from aira_jax.tasks import loader
    from aira_jax.tasks.lra import score

    if arguments.stage is Stage.SCORE:
        data, product = arguments.data_dir, arguments.workdir
        with tempfile.TemporaryDirectory(prefix="run-", dir=".") as kept:
            return score.scored(task, arguments, candidate, data=data, product=product, kept=Path(kept))
    with _mounted(task, arguments) as data:
        limits = loader.load_folder(task.folder).limits
        fit_by_hand = _fit(task, arguments, candidate, data, limits)
        score_s = arguments.time_limit_s or float(limits["score_s"])
        bounded = dataclasses.replace(arguments, train_limit_s=fit_by_hand.limit_s)
        with fitting.fitted(fit_by_hand, arguments) as product, _kept(arguments) as kept:
            parts = functools.partial(score.scored, data=data, product=product, kept=kept)
            return apart.call(parts, task, bounded, candidate, limit_s=fit_by_hand.limit_s + score_s)


@contextlib.contextmanager
def _kept(arguments: Arguments) -> Iterator[Path]:
    """An empty folder for a training by hand, which no candidate has seen; a named --workdir gets it afterwards."""
    with preparation.private("lra-run-") as folder:
        yield folder
        for made in folder.iterdir() if arguments.workdir != Path() else ():
            target = arguments.workdir / made.name
            shutil.rmtree(target, ignore_errors=True)
            target.unlink(missing_ok=True)
            shutil.move(made, target)


def _fit(
    task: Task, arguments: Arguments, candidate: Candidate, data: Path, limits: Mapping[str, float]
) -> fitting.Fit:
    """The fit by hand, under the limits of metadata.yaml. It sees ./data without labels, nothing where it exports."""
    folders = [path for path in sorted(data.iterdir()) if path.is_dir()]
    exports = arguments.isolation is Isolation.PROGRAMS
    secret = [path for path in folders if exports or path.name.endswith("_with_labels")]
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

    with preparation.private("lra-mount-") as folder:
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
    return preparing.made(task, arguments.profile, None)


def _is_store(arguments: Arguments) -> bool:
    return (arguments.data_dir / "meta.json").is_file()
