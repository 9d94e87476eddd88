"""Where the nodes of a search tree go in a drawing: a tidy tree from left to right, with side branches packed in rows.

Coordinates are grid cells: x grows to the right, y downwards. The way to the chosen node is a straight spine; the many
children that led nowhere (single nodes, and chains of repairs) share rows beside it, so 500 nodes fit a screen.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence, Set

ROOT = -1  # the point that all drafts start from


@dataclasses.dataclass(frozen=True)
class Row:
    """Side branches in one row: `heads` are the children of `parent` that begin them, from left to right."""

    parent: int
    heads: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Layout:
    """`at` gives the cell (x, y) of every node and of ROOT."""

    at: Mapping[int, tuple[int, float]]
    rows: tuple[Row, ...]
    width: int
    height: float


@dataclasses.dataclass(frozen=True)
class _Block:
    """A placed subtree, its own root in column 0 at height `y`; `outline[x]` is the (top, bottom) of column x."""

    at: Mapping[int, tuple[int, float]]
    rows: tuple[Row, ...]
    outline: Mapping[int, tuple[float, float]]
    y: float

    @property
    def is_chain(self) -> bool:
        return all(low == high == self.y for low, high in self.outline.values())


def tidy(parents: Sequence[int | None], spine: Set[int] = frozenset(), pack_from: int = 4) -> Layout:
    """Lay out the forest in which node i has parent `parents[i]` (None: a draft, a child of ROOT).

    `spine` holds the nodes of the way to the chosen node. A parent with at least `pack_from` children that are chains
    gets them in rows, about twice as wide as high.
    """
    children: dict[int, list[int]] = {node: [] for node in range(ROOT, len(parents))}
    depth = {ROOT: 0}
    for node, parent in enumerate(parents):
        above = ROOT if parent is None else parent
        children[above].append(node)
        depth[node] = depth[above] + 1
    blocks: dict[int, _Block] = {}
    for node in sorted(children, reverse=True):  # a child has a larger id than its parent
        blocks[node] = _join(node, _order(node, children[node], blocks, spine, pack_from, depth[node]), spine)
    block = blocks[ROOT]
    top = min(low for low, _ in block.outline.values())
    bottom = max(high for _, high in block.outline.values())
    at = {node: (x, y - top) for node, (x, y) in block.at.items()}
    return Layout(at, block.rows, width=max(block.outline) + 1, height=bottom - top + 1)


def _order(
    node: int, own: Sequence[int], blocks: Mapping[int, _Block], spine: Set[int], pack_from: int, depth: int
) -> list[_Block]:
    """The parts below a node from top to bottom; packed rows go above the spine and below it by turns."""
    chains = [child for child in own if blocks[child].is_chain and child not in spine]
    if len(chains) < pack_from:
        return [blocks[child] for child in own]
    packed = set(chains)
    rest = [blocks[child] for child in own if child not in packed]
    rows = _pack(node, [(child, blocks[child]) for child in chains])
    return [rows, *rest] if depth % 2 else [*rest, rows]


def _join(node: int, parts: Sequence[_Block], spine: Set[int]) -> _Block:
    if not parts:
        return _Block({node: (0, 0.0)}, (), {0: (0.0, 0.0)}, 0.0)
    at: dict[int, tuple[int, float]] = {}
    outline: dict[int, tuple[float, float]] = {}
    heights, on_spine = [], []
    for part in parts:
        shift = _shift(outline, part)
        at.update({child: (x + 1, y + shift) for child, (x, y) in part.at.items()})
        for x, (low, high) in part.outline.items():
            old = outline.get(x + 1, (low + shift, high + shift))
            outline[x + 1] = min(old[0], low + shift), max(old[1], high + shift)
        heights.append(part.y + shift)
        on_spine.extend(part.y + shift for child, (x, _) in part.at.items() if x == 0 and child in spine)
    y = on_spine[0] if on_spine else (heights[0] + heights[-1]) / 2
    at[node] = (0, y)
    outline[0] = (y, y)
    return _Block(at, tuple(row for part in parts for row in part.rows), outline, y)


def _shift(outline: Mapping[int, tuple[float, float]], part: _Block) -> float:
    """How far down `part` must go to clear what is already placed; the first part stays."""
    gaps = [outline[x + 1][1] + 1 - low for x, (low, _) in part.outline.items() if x + 1 in outline]
    return max(gaps, default=0.0)


def _pack(parent: int, chains: Sequence[tuple[int, _Block]]) -> _Block:
    lengths = [len(chain.outline) for _, chain in chains]
    width = max(3, *lengths, math.ceil(math.sqrt(2 * sum(lengths))))
    at: dict[int, tuple[int, float]] = {}
    heads: list[list[int]] = [[]]
    reach = [0]
    for head, chain in chains:
        if reach[-1] + len(chain.outline) > width:
            heads.append([])
            reach.append(0)
        at.update({child: (reach[-1] + x, float(len(reach) - 1)) for child, (x, _) in chain.at.items()})
        heads[-1].append(head)
        reach[-1] += len(chain.outline)
    lowest = {x: float(max(y for y, end in enumerate(reach) if end > x)) for x in range(max(reach))}
    outline = {x: (0.0, low) for x, low in lowest.items()}
    return _Block(at, tuple(Row(parent, tuple(row)) for row in heads), outline, (len(heads) - 1) / 2)
