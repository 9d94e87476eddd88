"""Names the way in which an execution failed."""

import enum
import math
import re
from collections.abc import Mapping
from pathlib import PurePosixPath

from aira_jax.core.failures import OF_THE_PROGRAM, Failure
from aira_jax.sandbox.base import Execution, Status
from aira_jax.sandbox.syntax import syntax_error


class Program(enum.Enum):
    """Who wrote the program that ran, and so what its exit code means.

    CANDIDATE: the candidate's own script; its exit codes mean nothing. FIT: an evaluator that runs candidate code; it
    exits with 0 when scored, 2 for an invalid submission, 3 when the candidate failed. TRUSTED: an evaluator that runs
    none; an exit with 1 is its own defect.
    """

    CANDIDATE = "candidate"
    FIT = "fit"
    TRUSTED = "trusted"


EXIT_DEFECT = 1
EXIT_INVALID = 2

_OUT_OF_MEMORY = re.compile(r"RESOURCE_EXHAUSTED|Out of memory|\bMemoryError\b|\bbad_alloc\b")
_SHAPE = re.compile(r"shape|\brank\b|broadcast|dimension|dot_general", re.IGNORECASE)
_SIGNATURE = re.compile(r"unexpected keyword argument|positional arguments? but|missing \d+ required|is not callable")
_MISSING_NAME = re.compile(r"module '(?P<module>[\w.]+)' has no attribute")
_LAYERS = re.compile(r"\d+ layers?, \d+ required|wrong number of (layers|primitives)")
_READ_ONLY = re.compile(r"Read-only file system: '(?P<path>[^']+)'")
_EXCEPTION = re.compile(r"^(?:[A-Za-z_]\w*\.)*(?P<name>[A-Z]\w*)(?:: (?P<text>.*))?$")
_EXCEPTION_ENDS = ("Error", "Exception", "Exit", "Interrupt", "Iteration", "Warning", "Group")
_SYNTAX_NAMES = frozenset({"SyntaxError", "IndentationError", "TabError"})
_IMPORT_NAMES = frozenset({"ImportError", "ModuleNotFoundError"})


def final_exception(output: str) -> tuple[str, str] | None:
    """Name (without module) and first line of text of the exception that ended a Python program, None without one."""
    start = max(output.rfind("Traceback (most recent call last):"), 0)
    found = None
    for line in output[start:].splitlines():
        match = _EXCEPTION.match(line)
        if match and match["name"].endswith(_EXCEPTION_ENDS):
            found = (match["name"], match["text"] or "")
    return found


def classify(
    execution: Execution,
    result: Mapping | None = None,
    *,
    files: Mapping[str, str] | None = None,
    program: Program = Program.FIT,
    artifact_missing: bool = False,
    data: tuple[str, ...] = ("data",),
) -> Failure | None:
    """The class of a failed execution, None of a good one.

    `result` is the evaluator's result file; the `failure_class` in it wins over everything but tampering. Code that is
    not trusted may have written it, so that it can name only the eight classes of the program.
    `files` are the candidate's; a module of theirs without an expected name is an interface failure, not an exit.
    `artifact_missing` says that there is no artifact, which counts where the program ended well. `data` are the
    read-only targets in the work directory. A lost or cancelled execution is `infra`: nobody's fault but ours.
    """
    if execution.tampered or _died_writing(execution, data):
        return Failure.TAMPER
    named = (result or {}).get("failure_class")
    if named in OF_THE_PROGRAM:
        return Failure(named)
    if named is not None and program is Program.TRUSTED:
        return Failure.INFRA
    if execution.status is Status.LOST or execution.killed_for == "cancelled":
        return Failure.INFRA
    if execution.status is Status.OK:
        if artifact_missing:
            return Failure.INTERFACE
        return Failure.NAN if _not_finite((result or {}).get("value")) else None
    if execution.killed_for in ("wall", "cpu"):
        return Failure.TIMEOUT
    if execution.killed_for == "memory" or _OUT_OF_MEMORY.search(execution.output):
        return Failure.OOM
    if program is Program.TRUSTED and execution.exit_code == EXIT_DEFECT:
        return Failure.INFRA
    return _by_text(execution, files or {}, program)


def _by_text(execution: Execution, files: Mapping[str, str], program: Program) -> Failure:
    name, text = final_exception(execution.output) or ("", "")
    if name in _SYNTAX_NAMES or syntax_error(files):
        return Failure.SYNTAX
    if name in _IMPORT_NAMES:
        return Failure.IMPORT
    invalid = program is not Program.CANDIDATE and execution.exit_code == EXIT_INVALID
    if invalid or _breaks_interface(name, text, files):
        return Failure.INTERFACE
    if name in ("TypeError", "ValueError") and _SHAPE.search(text):
        return Failure.SHAPE
    if name == "FloatingPointError":
        return Failure.NAN
    return Failure.EXIT


def _breaks_interface(name: str, text: str, files: Mapping[str, str]) -> bool:
    if name == "AttributeError" and (match := _MISSING_NAME.match(text)):
        return match["module"] in {path.removesuffix(".py").replace("/", ".") for path in files}
    if name == "TypeError" and _SIGNATURE.search(text):
        return True
    return name.endswith("Error") and _LAYERS.search(text) is not None


def _died_writing(execution: Execution, data: tuple[str, ...]) -> bool:
    """Whether the program ended because it tried to change its read-only data."""
    name, text = final_exception(execution.output) or ("", "")
    match = _READ_ONLY.search(text) if name == "OSError" else None
    if execution.status is not Status.FAIL or match is None:
        return False
    return bool(set(data) & set(PurePosixPath(match["path"]).parts))


def _not_finite(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
