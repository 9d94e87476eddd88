"""The ledger: every pattern of many searches with its mean score, as a table that an aggregation reads.

    # what it is, one line each
    pattern,accuracy,loss,evaluations,proposals,agents
    2A-3M-A-3M-2A-M-4A,0.429297,1.627114,1,2,greedy-control.evolution

Best first, every pattern once and canonical; all scores are of one task and one preset, on validation rows.
"""

import csv
import dataclasses
import io
import itertools
import math
from collections.abc import Sequence
from pathlib import Path

from aira_jax import patterns
from aira_jax.compose import aggregate, kmeans, voters
from aira_jax.compose.aggregate import Elected
from aira_jax.compose.voters import KMeansTop, RankDecay, Ranking, Selector, TopK
from aira_jax.core import rounding
from aira_jax.patterns import Pattern

COLUMNS = ("pattern", "accuracy", "loss", "evaluations", "proposals", "agents")
TASK = "NeuralArchitectureSearchMAD2PrimitivesAccuracy"
LAYERS = 16


@dataclasses.dataclass(frozen=True)
class Line:
    """A pattern. `loss` is the mean cross-entropy in nats, where it is known; `agents` joined by blanks."""

    pattern: Pattern
    accuracy: float
    loss: float | None
    evaluations: int
    proposals: int
    agents: str


@dataclasses.dataclass(frozen=True)
class Ledger:
    """`preset` is the fidelity of all scores; `notes` tell where they come from."""

    preset: str
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()

    def to_csv(self) -> str:
        out = io.StringIO()
        out.writelines(f"# {note}\n" for note in (f"preset: {self.preset}", *self.notes))
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(COLUMNS)
        for line in self.lines:
            loss = "" if line.loss is None else f"{line.loss:.6f}"
            row = (
                line.pattern.canonical(),
                f"{line.accuracy:.6f}",
                loss,
                line.evaluations,
                line.proposals,
                line.agents,
            )
            writer.writerow(row)
        return out.getvalue()

    def ranking(self) -> Ranking:
        """The patterns in their order, for the aggregator."""
        found = [line.pattern for line in self.lines]
        return voters.rank(found, [line.accuracy for line in self.lines], presets=[self.preset] * len(found))


def read(path: Path) -> Ledger:
    """A table that `to_csv` wrote. Raises ValueError that names the line and what is wrong with it."""
    try:
        text = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: byte {error.start} is not UTF-8: name a table of scripts/ledger.py") from error
    notes = [line[1:].strip() for line in itertools.takewhile(lambda line: line.startswith("#"), text)]
    preset = next((note.partition(":")[2].strip() for note in notes if note.startswith("preset:")), "")
    if not preset:
        raise ValueError(f"{path}: no line `# preset: <name>` on top: make the table with scripts/ledger.py")
    header, *rows = list(csv.reader(text[len(notes) :])) or [[]]
    if tuple(header) != COLUMNS or not rows:
        raise ValueError(f"{path} line {len(notes) + 1}: the columns must be {','.join(COLUMNS)}, with rows below")
    lines = tuple(_line(path, number, row) for number, row in enumerate(rows, len(notes) + 2))
    numbers: dict[Pattern, int] = {}
    for number, line in enumerate(lines, len(notes) + 2):
        first = numbers.setdefault(line.pattern, number)
        if first != number:
            raise ValueError(f"{path} line {number}: {line.pattern} stands in line {first} already: keep one of them")
    best_first = tuple(sorted(lines, key=lambda line: -line.accuracy))
    return Ledger(preset, best_first, tuple(note for note in notes if not note.startswith("preset:")))


def _line(path: Path, number: int, row: Sequence[str]) -> Line:
    try:
        pattern, accuracy, loss, evaluations, proposals, agents = row
        parsed = patterns.parse(pattern)
        patterns.validate(parsed, LAYERS, ("A", "M"))
        line = Line(parsed, float(accuracy), float(loss) if loss else None, int(evaluations), int(proposals), agents)
    except ValueError as error:
        raise ValueError(f"{path} line {number}: {error}") from error
    if not 0 <= line.accuracy <= 1 or not math.isfinite(line.loss or 0.0):
        raise ValueError(f"{path} line {number}: accuracy {accuracy} must lie in 0..1, loss {loss} be finite")
    return line


def statistical_base(ledger: Ledger) -> Pattern:
    """What the published aggregation elects: the vote of the best cluster of scores, layer by layer (N_0).

    The best of 3 clusters votes, of fewer where it would hold fewer than 5 patterns.
    """
    scores = [rounding.rational(line.accuracy, "accuracy") for line in ledger.lines]
    selectors = [KMeansTop(kmeans.usual_clusters([scores]))]
    return aggregate.combine([ledger.ranking()], selectors=selectors, method="n0").pattern


def outcomes(ledger: Ledger) -> tuple[Elected, ...]:
    """Every pattern that some usual selection and method elect, the most often elected first."""
    distinct = len({line.accuracy for line in ledger.lines})
    selections: dict[str, tuple[Selector, ...]] = {
        f"best cluster of {k}": (KMeansTop(k),) for k in range(2, min(5, distinct) + 1)
    }
    for k in (10, 20):
        if k <= len(ledger.lines):
            selections[f"top {k}"] = (TopK(k),)
    selections |= {f"rank decay {decay:g}": (RankDecay(decay),) for decay in aggregate.DECAYS}
    return aggregate.outcomes([ledger.ranking()], selections=selections)
