"""The search tree as geometry: every node a mark, every step an edge, ready for an SVG template."""

import dataclasses
from collections.abc import Mapping, Set

from aira_jax.reports.run.layout import ROOT, Layout, Row, tidy
from aira_jax.runs.view import NodeView, RunView

ROOMY_NODES = 60  # up to here marks are large and carry their fitness


@dataclasses.dataclass(frozen=True)
class Style:
    """Sizes in drawing units: a grid cell, a mark's radius, how far a rail runs above its marks' centres."""

    cell_x: float
    cell_y: float
    radius: float
    rail: float
    labelled: bool


ROOMY = Style(78, 68, 16, 25, True)
DENSE = Style(27, 26, 9, 13, False)


@dataclasses.dataclass(frozen=True)
class Mark:
    """A node. `kind`: best (new best when committed), good, buggy, failed, pending."""

    id: int
    x: float
    y: float
    kind: str
    submitted: bool
    fitness: str
    label: str


@dataclasses.dataclass(frozen=True)
class Edge:
    """SVG path data; `operator` styles it; `lineage` marks the way to the submitted node."""

    path: str
    operator: str
    lineage: bool


@dataclasses.dataclass(frozen=True)
class Drawing:
    marks: tuple[Mark, ...]
    edges: tuple[Edge, ...]
    rails: tuple[str, ...]
    root: tuple[float, float]
    style: Style
    width: float
    height: float


def draw(run: RunView) -> Drawing:
    """The tree of a run with at least one node."""
    lineage = _lineage(run)
    layout = tidy([view.node.parents[0] if view.node.parents else None for view in run.nodes], lineage)
    style = ROOMY if len(run.nodes) <= ROOMY_NODES else DENSE
    place = {node: _center(layout, node, style) for node in layout.at}
    packed = {head for row in layout.rows for head in row.heads}
    return Drawing(
        marks=tuple(_mark(view, run, *place[view.node.id]) for view in run.nodes),
        edges=tuple(edge for view in run.nodes for edge in _edges(view, place, packed, lineage, style)),
        rails=tuple(_rail(place, row, style) for row in layout.rows),
        root=place[ROOT],
        style=style,
        width=(layout.width) * style.cell_x + style.radius,
        height=layout.height * style.cell_y + style.radius,
    )


def _center(layout: Layout, node: int, style: Style) -> tuple[float, float]:
    x, y = layout.at[node]
    return (x + 0.5) * style.cell_x, (y + 0.5) * style.cell_y + style.radius / 2


def _lineage(run: RunView) -> set[int]:
    chosen = run.submitted or run.best
    if chosen is None:
        return set()
    line, node = {chosen.node.id}, chosen.node
    while node.parents:
        node = run.tree.nodes[node.parents[0]]
        line.add(node.id)
    return line


def _mark(view: NodeView, run: RunView, x: float, y: float) -> Mark:
    node = view.node
    kind = "best" if view.point and view.point.is_new_best else str(node.status) if node.status else "pending"
    fitness = "" if node.fitness is None else f"{node.fitness:.4f}"
    made_from = f" of {' and '.join(map(str, node.parents))}" if node.parents else ""
    outcome = f"fitness {fitness}" if fitness else node.failure_class or ""
    words = [f"node {node.id}", f"{node.operator}{made_from}", "new best" if kind == "best" else kind, outcome]
    submitted = run.submit is not None and run.submit["node"] == node.id
    if submitted:
        words.append("submitted")
    return Mark(node.id, x, y, kind, submitted, fitness, ", ".join(filter(None, words)))


def _edges(
    view: NodeView,
    place: Mapping[int, tuple[float, float]],
    packed: Set[int],
    lineage: Set[int],
    style: Style,
) -> list[Edge]:
    node = view.node
    first, *others = node.parents or (ROOT,)
    x, y = place[node.id]
    if node.id in packed:
        path = f"M{x:g} {y - style.rail:g}V{y - style.radius:g}"
    else:
        path = _curve(*place[first], x, y)
    own = Edge(path, str(node.operator), node.id in lineage)
    return [own, *(Edge(_curve(*place[other], x, y), "second", False) for other in others)]


def _curve(x0: float, y0: float, x1: float, y1: float) -> str:
    middle = (x0 + x1) / 2
    return f"M{x0:g} {y0:g}C{middle:g} {y0:g} {middle:g} {y1:g} {x1:g} {y1:g}"


def _rail(place: Mapping[int, tuple[float, float]], row: Row, style: Style) -> str:
    """From a parent to a row of side branches, then along it; each branch hangs from the rail."""
    (x0, y0), (x1, y), (x2, _) = place[row.parent], place[row.heads[0]], place[row.heads[-1]]
    above = y - style.rail
    trunk = x1 - style.cell_x / 2
    return f"M{x0:g} {y0:g}Q{trunk:g} {y0:g} {trunk:g} {(y0 + above) / 2:g}T{x1:g} {above:g}H{x2:g}"
