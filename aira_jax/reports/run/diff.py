"""What changed between two candidates."""

import difflib
from collections.abc import Mapping


def diff(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """A unified diff of two sets of files, in path order; empty when they are equal."""
    parts = []
    for path in sorted({*before, *after}):
        old, new = before.get(path), after.get(path)
        if old == new:
            continue
        lines = difflib.unified_diff(
            _lines(old),
            _lines(new),
            f"a/{path}" if old is not None else "/dev/null",
            f"b/{path}" if new is not None else "/dev/null",
        )
        parts.extend(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
    return "".join(parts)


def _lines(text: str | None) -> list[str]:
    """Lines as `patch` counts them: split at \\n only, endings kept."""
    if not text:
        return []
    *whole, last = text.split("\n")
    return [f"{line}\n" for line in whole] + ([last] if last else [])
