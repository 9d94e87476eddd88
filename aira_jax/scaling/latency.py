"""Latency of an architecture from profiled blocks, and the front of latency and loss.

The model of arXiv 2605.15871: latency = sum over primitives of layer count x latency of one block. Embedding and head
are left out. Profiles of different devices, modes or lengths never mix. Importing this needs no jax.
"""

import dataclasses
import enum
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aira_jax.compose import dims as dims_lib
from aira_jax.compose import zoo
from aira_jax.compose.flops import Layers, layer_counts
from aira_jax.scaling.published import LOSSES_1B


class Mode(enum.StrEnum):
    """FORWARD: a whole sequence once. TRAIN: forward and backward. DECODE: one more token after `length` of them."""

    FORWARD = "forward"
    TRAIN = "train"
    DECODE = "decode"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timed:
    """Milliseconds of one block: the median and the quartiles of `runs` calls, and the compilation in seconds."""

    median_ms: float
    low_ms: float
    high_ms: float
    runs: int
    compile_s: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlockTable:
    """Profiled blocks of one scale and space on one device, with everything that decides the numbers.

    `attention` and `ssd` name the implementations, `dims` the sizes of the blocks, `blocks` the times by primitive.
    """

    device: str
    scale: str
    space: int | str
    mode: Mode
    batch: int
    length: int
    dtype: str
    attention: str
    ssd: str
    dims: Mapping[str, Any]
    versions: Mapping[str, str]
    blocks: Mapping[str, Timed]

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(dataclasses.asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "BlockTable":
        """Raises ValueError for a file that `write` did not write."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            blocks = {name: Timed(**timed) for name, timed in values.pop("blocks").items()}
            return cls(**values | {"blocks": blocks, "mode": Mode(values["mode"])})
        except OSError as error:
            raise ValueError(f"{path}: {error.strerror}: name a file that scripts/latency.py wrote") from error
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise ValueError(
                f"{path} is no table of blocks ({error}): profile again with scripts/latency.py"
            ) from error

    def latency_ms(self, layers: Layers) -> float:
        """Milliseconds of all blocks of a pattern, or of layer counts. Raises ValueError for an untimed primitive."""
        counts = {p: n for p, n in layer_counts(layers, self.space).items() if n}
        missing = [p for p in counts if p not in self.blocks]
        if missing:
            raise ValueError(f"no profile of {', '.join(missing)} in this table: profile space 3 as well")
        return math.fsum(n * self.blocks[p].median_ms for p, n in counts.items())

    @property
    def spread(self) -> float:
        """The widest range between quartiles, relative to its median: what the numbers are worth."""
        return max((block.high_ms - block.low_ms) / block.median_ms for block in self.blocks.values())


@dataclasses.dataclass(frozen=True)
class Point:
    """An architecture with what it costs and what it reached; both lower is better. `loss` None: none published."""

    name: str
    space: int | str
    latency_ms: float
    loss: float | None


def published(table: BlockTable) -> tuple[Point, ...]:
    """The models of the zoo that `table` can time, the fastest first; with their published losses at 1B.

    At 1B both spaces have the same blocks, so that a table of space 3 times all models; elsewhere it times its own.
    Raises ValueError for a table of custom sizes, which belong to no published model.
    """
    if table.scale not in dims_lib.SCALES or table.dims != dataclasses.asdict(dims_lib.get(table.scale, table.space)):
        raise ValueError(f"the blocks of {table.scale!r} have sizes of their own: published models were not built so")
    models = [m for m in zoo.scaled() if m.scale == table.scale and _fits(m.space, table)]
    points = [
        Point(m.key, m.space, table.latency_ms(m.build), LOSSES_1B[m.key][0] if m.scale == "1B" else None)
        for m in models
    ]
    return tuple(sorted(points, key=lambda p: (p.latency_ms, p.name)))


def _fits(space: int | str, table: BlockTable) -> bool:
    """Whether the blocks of `space` have the sizes of the table's."""
    own, other = (dims_lib.get(table.scale, s) for s in (table.space, space))
    timed = set(dims_lib.primitives(table.space))
    return timed.issuperset(dims_lib.primitives(space)) and dataclasses.replace(other, space=own.space) == own


def front(points: Iterable[Point]) -> tuple[Point, ...]:
    """Those with a loss that no other beats in one of latency and loss without losing in the other; equal ones stay."""
    known = sorted((p for p in points if p.loss is not None), key=lambda p: (p.latency_ms, p.loss))
    return tuple(p for p in known if not any(_dominates(q, p) for q in known))


def _dominates(q: Point, p: Point) -> bool:
    no_worse = q.latency_ms <= p.latency_ms and q.loss <= p.loss
    return no_worse and (q.latency_ms < p.latency_ms or q.loss < p.loss)
