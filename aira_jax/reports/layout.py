"""Where the nodes of a search tree go in a drawing: a tidy tree from left to right, with leaves packed in rows.

Coordinates are whole grid cells: x grows to the right, y downwards. A search tree is wide where a good node is improved
many times in vain; those leaves share rows, so that 500 nodes stay on one screen.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

ROOT = -1  # the point that all drafts start from


@dataclasses.dataclass(frozen=True)
class Layout:
    """`at` gives (x, y) of every node and of ROOT. `rows` are packed leaves: (parent, y, leaves in order)."""

    at: Mapping[int, tuple[int, float]]
    rows: tuple[tuple[int, float, tuple[int, ...]], ...]
    width: int
    height: float


@dataclasses.dataclass(frozen=True)
class _Block:
    """A placed subtree, relative to the top left corner of its first column: positions, rows, and its outline.

    `outline[x]` is the (top, bottom) that the block covers in column x.
    """

    at: Mapping[int, tuple[int, float]]
    rows: tuple[tuple[int, float, tuple[int, ...]], ...]
    outline: Mapping[int, tuple[float, float]]
    y: float  # of the block's own root, for the edge that comes from its parent


def tidy(parents: Sequence[int | None], pack_from: int = 4) -> Layout:
    """Lay out the forest in which node i has parent `parents[i]` (None: a draft, a child of ROOT).

    A parent with at least `pack_from` leaf children gets them in rows of about twice as many columns as rows.
    """
    children: dict[int, list[int]] = {node: [] for node in range(ROOT, len(parents))}
    for node, parent in enumerate(parents):
        children[ROOT if parent is None else parent].append(node)
    blocks: dict[int, _Block] = {}
    for node in sorted(children, reverse=True):  # a child has a larger id than its parent
        blocks[node] = _join(node, children[node], children, blocks, pack_from)
    block = blocks[ROOT]
    top = min(low for low, _ in block.outline.values())
    bottom = max(high for _, high in block.outline.values())
    return Layout(
        at={node: (x, y - top) for node, (x, y) in block.at.items()},
        rows=tuple((parent, y - top, leaves) for parent, y, leaves in block.rows),
        width=max(block.outline) + 1,
        height=bottom - top + 1,
    )


def _join(
    node: int,
    own: Sequence[int],
    children: Mapping[int, Sequence[int]],
    blocks: Mapping[int, _Block],
    pack_from: int,
) -> _Block:
    leaves = [child for child in own if not children[child]]
    packed = leaves if len(leaves) >= pack_from else []
    parts = [blocks[child] for child in own if child not in set(packed)]
    if packed:
        parts.append(_grid(node, packed))
    if not parts:
        return _Block({node: (0, 0.0)}, (), {0: (0.0, 0.0)}, 0.0)
    at: dict[int, tuple[int, float]] = {}
    rows: list[tuple[int, float, tuple[int, ...]]] = []
    outline: dict[int, tuple[float, float]] = {}
    ys: list[float] = []
    for part in parts:
        shift = _shift(outline, part)
        at.update({child: (x + 1, y + shift) for child, (x, y) in part.at.items()})
        rows.extend((parent, y + shift, row) for parent, y, row in part.rows)
        for x, (low, high) in part.outline.items():
            old = outline.get(x + 1, (low + shift, high + shift))
            outline[x + 1] = min(old[0], low + shift), max(old[1], high + shift)
        ys.append(part.y + shift)
    y = ys[0] if len(ys) == 1 else (ys[0] + ys[-1]) / 2
    at[node] = (0, y)
    outline[0] = (y, y)
    return _Block(at, tuple(rows), outline, y)


def _shift(outline: Mapping[int, tuple[float, float]], part: _Block) -> float:
    """How far down `part` must go to clear what is already placed; the first part stays."""
    gaps = [outline[x + 1][1] + 1 - low for x, (low, _) in part.outline.items() if x + 1 in outline]
    return max(gaps, default=max((high for _, high in outline.values()), default=-1.0) + 1)


def _grid(parent: int, leaves: Sequence[int]) -> _Block:
    columns = max(3, math.ceil(math.sqrt(2 * len(leaves))))
    rows = [tuple(leaves[i : i + columns]) for i in range(0, len(leaves), columns)]
    at = {leaf: (x, float(y)) for y, row in enumerate(rows) for x, leaf in enumerate(row)}
    outline = {x: (0.0, float(sum(len(row) > x for row in rows) - 1)) for x in range(len(rows[0]))}
    return _Block(at, tuple((parent, float(y), row) for y, row in enumerate(rows)), outline, (len(rows) - 1) / 2)
