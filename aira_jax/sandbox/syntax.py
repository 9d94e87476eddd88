"""Candidate code as Python's parser sees it, without running it."""

import ast
import warnings
from collections.abc import Mapping


def parsed(text: str, path: str) -> ast.Module:
    """The syntax tree of a file. Raises SyntaxError, also for NUL bytes and for code nested too deeply to be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text, path)
    except (RecursionError, MemoryError):
        raise SyntaxError("nested too deeply for Python's parser") from None
    except ValueError as error:  # NUL bytes
        raise SyntaxError(str(error)) from None


def syntax_error(files: Mapping[str, str]) -> str | None:
    """The problem of the first .py file that Python cannot parse, None when all can be parsed."""
    for path in sorted(files):
        if path.endswith(".py"):
            try:
                parsed(files[path], path)
            except SyntaxError as error:
                line = "" if error.lineno is None else f", line {error.lineno}"
                return f"{path}{line}: {type(error).__name__}: {error.msg}"
    return None
