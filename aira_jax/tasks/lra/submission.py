"""A submission of the Long Range Arena tasks: a model.py, read as text, with the settings that it chooses."""

import contextlib
import csv
import dataclasses
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aira_jax.core.failures import Failure
from aira_jax.tasks.evaluation import CandidateError, SubmissionError
from aira_jax.tasks.lra.preparing import MODEL, Task
from lra import contract
from lra import globals as lra_globals
from lra.failures import CandidateFault
from lra.settings import Settings

COLUMN = "file"
_MAX_BYTES = 2**20


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A model.py as text, and what it chooses."""

    path: Path
    source: str
    settings: Settings
    warnings: tuple[str, ...]


def check(task: Task, path: Path, profile: str) -> Candidate:
    """Reads a submission without running it. Raises SubmissionError that says how to mend it."""
    path = _named_by(path) if path.suffix == ".csv" else path
    source = _text(path)
    try:
        contract.check_source(source, task.name)
        settings, warnings = lra_globals.read(source, task.name, configurable=task.configurable, profile=profile)
    except CandidateFault as fault:
        message = f"{path.name}: {fault.message}"
        raise SubmissionError(message, failure=Failure(fault.failure), extra=told(fault)) from fault
    for warning in warnings:
        print(f"warning: {path.name}: {warning}", file=sys.stderr)
    return Candidate(path, source, settings, tuple(warnings))


def _named_by(path: Path) -> Path:
    """The file that submission.csv names in its only column, `file`."""
    rows = [row for row in csv.reader(io.StringIO(_text(path))) if row]
    if len(rows) != 2 or rows[0] != [COLUMN] or len(rows[1]) != 1:
        raise SubmissionError(f"{path.name}: the header {COLUMN} and one row naming {MODEL} are expected")
    name = Path(rows[1][0])
    if name.is_absolute() or ".." in name.parts:
        raise SubmissionError(f"{path.name} row 1: {name} must lie beside {path.name} or below")
    return path.parent / name


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SubmissionError(f"{path.name}: {error.strerror}; the submission is one file, {MODEL}") from error
    if len(content) > _MAX_BYTES:
        raise SubmissionError(f"{path.name}: {len(content)} bytes, at most {_MAX_BYTES} are read")
    try:
        return content.decode("utf-8-sig")  # Python accepts a byte order mark too
    except UnicodeDecodeError as error:
        problem = f"{path.name}: byte {error.start} is not UTF-8: save it as UTF-8"
        raise SubmissionError(problem, failure=Failure.SYNTAX) from error


@contextlib.contextmanager
def blamed() -> Iterator[None]:
    """A fault of a candidate becomes the evaluator's error of the same class."""
    try:
        yield
    except CandidateFault as fault:
        raise CandidateError(Failure(fault.failure), fault.message, told(fault)) from fault


def told(fault: CandidateFault) -> dict[str, Any]:
    return {"kind": str(fault.kind), "details": fault.details}
