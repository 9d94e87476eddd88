"""Names the way in which an execution failed."""

import ast
import enum
import re
from collections.abc import Mapping

from aira_jax.sandbox.base import Execution, Status


class FailureClass(enum.StrEnum):
    """The first eight blame the candidate's execution; the last four are found by the harness itself."""

    TIMEOUT = "timeout"
    OOM = "oom"
    SYNTAX = "syntax"
    IMPORT = "import"
    INTERFACE = "interface"
    SHAPE = "shape"
    NAN = "nan"
    EXIT = "exit"
    PARSE = "parse"
    LLM = "llm"
    TAMPER = "tamper"
    INFRA = "infra"


EXIT_SCORED, EXIT_DEFECT, EXIT_INVALID, EXIT_TRAINING = 0, 1, 2, 3  # of evaluate.py

_OUT_OF_MEMORY = re.compile(r"RESOURCE_EXHAUSTED|Out of memory|\bMemoryError\b|\bbad_alloc\b", re.IGNORECASE)
_SHAPE = re.compile(r"shape|\brank\b|broadcast|dimension|dot_general", re.IGNORECASE)
_INTERFACE = re.compile(
    r"has no attribute|unexpected keyword argument|positional argument|required keyword-only argument"
    r"|is not callable|No such file or directory: '[^']*submission|wrong number of primitives|layers?, \d+ required"
)
_EXCEPTION = re.compile(r"^(?P<name>[A-Za-z_][\w.]*)(?:: (?P<text>.*))?$")
_READ_ONLY = re.compile(r"Read-only file system: '(?P<path>[^']+)'")
_SYNTAX_NAMES = frozenset({"SyntaxError", "IndentationError", "TabError"})
_IMPORT_NAMES = frozenset({"ImportError", "ModuleNotFoundError"})


def syntax_error(files: Mapping[str, str]) -> str | None:
    """The first Python file that does not parse, as "path:line: message"; found without running anything."""
    for path, text in sorted(files.items()):
        if path.endswith(".py"):
            try:
                ast.parse(text, path)
            except (SyntaxError, ValueError) as error:  # ValueError: NUL bytes
                return f"{path}:{getattr(error, 'lineno', None) or 1}: {error}"
    return None
