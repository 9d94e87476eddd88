"""Which packages that a task asks for are not installed here, and the line that installs them."""

import importlib.metadata
import re
import shlex
from collections.abc import Iterable

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def missing(requirements: Iterable[str]) -> tuple[str, ...]:
    """The requirements of which no version is installed. Versions are not compared: pip does that when it is asked."""
    return tuple(text for text in requirements if (name := _NAME.match(text)) and not _is_installed(name[0]))


def advice(task: str, requirements: Iterable[str]) -> str:
    """One sentence and the pip line for what is missing; empty where nothing is."""
    absent = missing(requirements)
    if not absent:
        return ""
    line = " ".join(map(shlex.quote, absent))
    return f"{task} asks for packages that are not installed: {', '.join(absent)}\n    pip install {line}"


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
