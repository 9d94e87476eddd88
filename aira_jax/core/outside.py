"""A function of the user's own, named as path.py:function: what lies in a file outside of the package."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aira_jax.core import choices, files

_loaded: dict[tuple[str, str], Callable[..., Any]] = {}


def digest(name: str, option: str) -> str:
    """sha256 of the file of `name` (path.py:function). Raises ValueError for an absent file; `option` said it."""
    path = Path(name.rpartition(":")[0])
    try:
        return files.sha256(path)
    except OSError as error:
        raise ValueError(f"{option}={name!r}: {path} cannot be read ({error.strerror})") from None


def load(name: str, option: str) -> Callable[..., Any]:
    """The function `name` (path.py:function); a file is run once as long as it does not change.

    Raises ValueError for a file that is absent, is no Python or raises, and for a function that it does not have, with
    the nearest of its names; `option` is what said it.
    """
    sha = digest(name, option)
    if (name, sha) in _loaded:
        return _loaded[name, sha]
    path, _, function = name.rpartition(":")
    spec = importlib.util.spec_from_file_location(f"outside_{sha[:16]}", path)
    if spec is None:
        raise ValueError(f"{option}={name!r}: {path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ValueError(f"{option}={name!r}: {path} raises {type(error).__name__}: {error}") from error
    found = getattr(module, function, None)
    if not callable(found):
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise ValueError(choices.refusal(f"{path} has no function {function!r}", function, known))
    return _loaded.setdefault((name, sha), found)
