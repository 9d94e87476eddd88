"""Runs the stage fit of an evaluate.py by hand: the same script in a sandbox, away from labels and raw data."""

import contextlib
import dataclasses
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from aira_jax import sandbox
from aira_jax.core.failures import OF_THE_PROGRAM, Failure
from aira_jax.sandbox.base import GIB, Execution, Job, Limits, Mount, Status
from aira_jax.sandbox.failures import Program, classify
from aira_jax.tasks import client, evaluation, preparation
from aira_jax.tasks.evaluation import Arguments, CandidateError, EvaluatorError
from aira_jax.tasks.mounts import PACKAGE_ROOT


@dataclasses.dataclass(frozen=True)
class Fit:
    """One fit: `script` is the evaluate.py, `data` are the folders that it may see as ./data/<name>.

    `hidden` must not be reached. Limits in seconds and GiB.
    """

    script: Path
    artifact: str
    files: Mapping[str, str]
    data: Sequence[Path]
    hidden: Sequence[Path]
    limit_s: float
    memory_gb: float


@contextlib.contextmanager
def fitted(fit: Fit, arguments: Arguments) -> Iterator[Path]:
    """Trains a candidate in the sandbox and yields the folder with what it wrote, which is removed afterwards.

    Raises CandidateError with the class of its failure, EvaluatorError where the sandbox cannot be set up.
    """
    with tempfile.TemporaryDirectory(prefix="aira-fit-") as scratch:
        workdir = Path(scratch) / "work"
        try:
            execution = _run(_job(fit, arguments, workdir))
        except (OSError, ValueError) as error:
            raise EvaluatorError(f"the sandbox could not be set up: {error}") from error
        product = workdir / client.PREDICTIONS
        if arguments.workdir != Path() and product.is_dir():
            _keep(product, arguments)
        _blame(execution, client.read_result(workdir / client.RESULT_FILE), fit, product)
        yield product


def _keep(product: Path, arguments: Arguments) -> None:
    """Copies what a fit wrote into --workdir, but nothing in place of the submission, result or score."""
    ours = {path.name for path in (arguments.submission, arguments.result_file) if path is not None}
    if arguments.isolation is evaluation.Isolation.PROGRAMS:
        ours |= {path.name for path in product.iterdir() if path.name != "programs"}
    shutil.copytree(
        product,
        arguments.workdir,
        ignore=lambda folder, names: ours.intersection(names) if Path(folder) == product else (),
        dirs_exist_ok=True,
    )


def _job(fit: Fit, arguments: Arguments, workdir: Path) -> Job:
    call = client.Call(
        fit.script,
        fit.artifact,
        arguments.profile,
        arguments.split,
        evaluation.Stage.FIT,
        seed=arguments.seed,
        limit_s=fit.limit_s,
        isolation=arguments.isolation,
    )
    return Job(
        argv=call.argv,
        workdir=workdir,
        limits=Limits(wall_s=fit.limit_s + 5, memory_bytes=int(fit.memory_gb * GIB)),
        files=fit.files,
        env={"PYTHONPATH": str(PACKAGE_ROOT)},
        mounts=tuple(Mount(path.resolve(), f"data/{path.name}") for path in fit.data),
        visible=script_files(fit.script.parent),
        hidden=tuple(path.resolve() for path in (preparation.private_root(), *fit.hidden)),
    )


def script_files(folder: Path) -> tuple[Path, ...]:
    """What an evaluate.py may read beside itself while candidate code runs in it: all of its folder but answers."""
    return tuple(path for path in sorted(folder.iterdir()) if not path.name.startswith((".", "gold_submission")))


def _run(job: Job) -> Execution:
    running = sandbox.make().start(job)
    try:
        for note in running.isolation.notes:
            print(f"sandbox: {note}", file=sys.stderr)
        running.go()
        return running.wait()
    except BaseException:
        running.kill()
        raise


def _blame(execution: Execution, result: Mapping[str, Any] | None, fit: Fit, product: Path) -> None:
    """Raises unless the fit ended well and left its product."""
    missing = not product.is_dir()
    failure = classify(execution, result, files=fit.files, program=Program.FIT, artifact_missing=missing)
    if failure is None:
        return
    message = client.message(result) or _last_words(execution)
    if failure is Failure.INFRA:
        raise EvaluatorError(f"the fit was lost: {message}")
    known = failure if failure in OF_THE_PROGRAM else Failure.EXIT
    extra = (result or {}).get("extra")
    raise CandidateError(known, message, extra if isinstance(extra, dict) else None)


def _last_words(execution: Execution) -> str:
    """How a program without a result ended, with the end of its output."""
    if execution.killed_for:
        return f"the fit was killed after {execution.wall_s:.1f} s: it passed its limit ({execution.killed_for})"
    lines = "\n".join(execution.output.splitlines()[-40:])
    how = "without its product" if execution.status is Status.OK else f"exit {execution.exit_code}"
    return f"the fit ended ({how}, signal {execution.signal}); its last lines:\n{lines}"
