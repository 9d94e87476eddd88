"""Files that are whole or absent, and JSON that every reader knows."""

import hashlib
import json
import math
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_atomically(path: Path, content: bytes | str, *, durable: bool = True) -> None:
    """`path` holds the old content or all of the new one, whatever happens. Its mode follows the umask.

    Missing folders are made. `durable`: the content has reached the disk when this returns.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("xb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, content: Any, *, indent: int | None = 1, durable: bool = True) -> None:
    """Writes JSON atomically, a newline at its end; a number that JSON cannot hold becomes null."""
    text = json.dumps(finite(content), indent=indent, allow_nan=False)
    write_atomically(path, text + "\n", durable=durable)


def finite(value: Any) -> Any:
    """`value` with None in place of every number that is not finite, in mappings, lists and tuples too."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one with dotted keys: {"budget.steps": 500, ...}. An empty mapping is a value."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        nested = isinstance(value, Mapping) and value
        found |= flatten(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value}
    return found


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, list[Any]]:
    """{key: [old, new]} of two nested mappings."""
    a, b = flatten(old), flatten(new)
    return {key: [a.get(key), b.get(key)] for key in sorted({*a, *b}) if a.get(key) != b.get(key)}


def sha256(path: Path) -> str:
    """sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
