"""The pattern that a candidate holds, for readers."""

import csv
import dataclasses
import io
from collections.abc import Mapping

from aira_jax import patterns
from aira_jax.patterns import options
from aira_jax.tasks.compose.space import SUBMISSION


@dataclasses.dataclass(frozen=True)
class Found:
    """A pattern in words, and the primitive of each of its layers."""

    text: str
    layers: tuple[str, ...]


def of_files(files: Mapping[str, str]) -> Found | None:
    """The pattern in submission.csv, None where a candidate holds none."""
    given = architecture(files)
    for parse in (patterns.parse, options.parse):
        try:
            pattern = parse(given)
        except patterns.PatternError:
            continue
        plain = pattern.plain if isinstance(pattern, options.OptionPattern) else pattern
        return Found(pattern.pretty(), plain.layers)
    return None


def architecture(files: Mapping[str, str]) -> str:
    """The pattern in a candidate's submission.csv as it was written, "" if there is none."""
    try:
        rows = csv.reader(io.StringIO(files.get(SUBMISSION, ""), newline=""))
        lines = [row for row in rows if any(cell.strip() for cell in row)]
    except csv.Error:  # a field that no pattern needs
        return ""
    return lines[1][0].strip() if len(lines) == 2 and len(lines[1]) == 1 else ""
