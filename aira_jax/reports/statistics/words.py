"""From a folder of runs to the report of its statistics, with what a terminal shows of it."""

import json
import sys
from collections.abc import Sequence

from aira_jax.core.choices import member
from aira_jax.core.text import one_line
from aira_jax.reports.statistics import report
from aira_jax.runs import studies
from aira_jax.statistics import contrasts, summary
from aira_jax.statistics.study import Incomplete, StudyOptions
from aira_jax.statistics.table import Table


def tell(
    runs: Sequence[str],
    out: str,
    *,
    task: str = "",
    profile: str = "",
    incomplete: str = Incomplete.COUNT,
    hierarchical: bool = False,
    pair: Sequence[str] = (),
    as_json: bool = False,
) -> None:
    """Reads `runs`, writes the report below `out` and prints it; notes and what was left out go to stderr.

    Raises ValueError for everything that the caller can mend.
    """
    for flag, names in (("runs", runs), ("out", [out])):
        if not names or "" in map(str, names):
            raise ValueError(f"--{flag} is empty or holds an empty name: name a folder, --{flag}=DIR")
    if len(pair) not in (0, 2):
        raise ValueError(f"--compare takes two agents, A,B; {len(pair)} were given")
    choice = StudyOptions(task, profile, member(Incomplete, incomplete, "value of --incomplete"), hierarchical)
    found = studies.study(runs, choice)
    for run in found.skipped:
        print(f"left out {one_line(run.path, 400)}: {one_line(run.reason, 400)}", file=sys.stderr)
    for note in found.notes:
        print(f"note: {one_line(note, 800)}", file=sys.stderr)
    summed = summary.summarise(found)
    differences = contrasts.contrasts(summed, [tuple(pair)] if pair else [])
    written = report.write(summed, differences, out)
    for table in written.made:
        if table.name in ("agents", "table_4", "comparisons"):
            print("\n".join(aligned(table.filled())), end="\n\n")
    if as_json:
        paths = {
            "report": str(written.report),
            "csv": {name: str(path) for name, path in written.tables.items()},
            "plots": {name: [str(path) for path in paths] for name, paths in written.plots.items()},
        }
        print(json.dumps({**written.numbers, **paths}))
    else:
        print(written.report)


def aligned(table: Table) -> list[str]:
    """The table in columns of equal width, for a terminal."""
    lines = [[column.title for column in table.columns], *table.texts()]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    sides = [str.rjust if column.numeric else str.ljust for column in table.columns]
    rows = ("  ".join(side(cell, w) for side, cell, w in zip(sides, line, widths, strict=True)) for line in lines)
    return [f"{table.title}.", *(row.rstrip() for row in rows)]
