"""Numbers into drawing coordinates: scales with round ticks, step curves, scatter plots. Templates write the SVG."""

import dataclasses
import itertools
import math
from collections.abc import Iterable, Sequence

LEFT, RIGHT, TOP, BOTTOM = 56, 14, 14, 40
WIDE, SQUARE = (620, 230), (400, 300)


@dataclasses.dataclass(frozen=True)
class Tick:
    at: float
    label: str


@dataclasses.dataclass(frozen=True)
class Dot:
    """A point of a chart; `node` is what it links to, `label` what it says on hover, `kind` its look."""

    x: float
    y: float
    node: int
    label: str
    kind: str


@dataclasses.dataclass(frozen=True)
class Chart:
    """A drawing of width x height units. `line` and `diagonal` are SVG path data, possibly empty."""

    width: int
    height: int
    title: str
    x_label: str
    y_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    line: str
    diagonal: str
    dots: tuple[Dot, ...]


@dataclasses.dataclass(frozen=True)
class Scale:
    """A linear map from [low, high] to [start, end]."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return round(self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start), 2)


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round numbers (1, 2 or 5 times a power of ten apart) within [low, high]."""
    step = _round_step((high - low) / count)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def _round_step(raw: float) -> float:
    power = 10.0 ** math.floor(math.log10(raw))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= raw * (1 - 1e-9))


def span(values: Sequence[float], *, zero: bool = False) -> tuple[float, float]:
    """A range that holds all values with some air, never empty; from zero when `zero`."""
    low, high = (0.0 if zero else min(values)), max(values)
    if high <= low:
        return (low, low + 1.0) if zero else (low - max(abs(low), 1.0) * 0.05, low + max(abs(low), 1.0) * 0.05)
    air = 0.06 * (high - low)
    return (low if zero else low - air), high + (0.02 * (high - low) if zero else air)


def tick_labels(values: Sequence[float]) -> list[str]:
    """The numbers with as many decimals as their distance needs."""
    step = min((b - a for a, b in itertools.pairwise(values)), default=1.0)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return [f"{value:,.{decimals}f}" for value in values]


def _chart(
    size: tuple[int, int],
    labels: tuple[str, str, str],
    x_span: tuple[float, float],
    y_span: tuple[float, float],
    *,
    points: Iterable[tuple[float, float, int, str, str]] = (),
    stairs: Iterable[Sequence[tuple[float, float]]] = (),
    diagonal: bool = False,
) -> Chart:
    """A chart over two ranges. `points` are (x, y, node, hover text, kind), `stairs` the corners of staircases."""
    width, height = size
    x, y = Scale(*x_span, LEFT, width - RIGHT), Scale(*y_span, height - BOTTOM, TOP)
    (x0, x1), (y0, y1) = x_span, y_span
    return Chart(
        *size,
        *labels,
        _ticks(x),
        _ticks(y),
        line="".join(_staircase([(x(a), y(b)) for a, b in corners]) for corners in stairs if corners),
        diagonal=f"M{x(x0):g} {y(y0):g}L{x(x1):g} {y(y1):g}" if diagonal else "",
        dots=tuple(Dot(x(a), y(b), node, label, kind) for a, b, node, label, kind in points),
    )


def _ticks(scale: Scale) -> tuple[Tick, ...]:
    values = ticks(scale.low, scale.high)
    return tuple(Tick(scale(v), label) for v, label in zip(values, tick_labels(values), strict=True))


def _staircase(corners: Sequence[tuple[float, float]]) -> str:
    (x, y), *rest = corners
    return f"M{x:g} {y:g}" + "".join(f"H{x:g}V{y:g}" for x, y in rest)


def best_so_far(
    title: str,
    x_label: str,
    y_label: str,
    points: Sequence[tuple[float, float | None, float | None, int, str, bool]],
) -> Chart | None:
    """A staircase of the best value so far over the values of single nodes; None when nothing was scored.

    `points` are (x, value or None, best or None, node, hover text, is a new best), in order of x.
    """
    scored = [p for p in points if p[1] is not None]
    if not scored:
        return None
    spans = span([p[0] for p in points], zero=True), span([p[1] for p in scored])
    dots = [(*p[:2], *p[3:5], "best" if p[5] else "good") for p in scored]
    stairs = [[(p[0], p[2]) for p in points if p[2] is not None]]
    return _chart(WIDE, (title, x_label, y_label), *spans, points=dots, stairs=stairs)


def scatter(
    title: str, x_label: str, y_label: str, points: Sequence[tuple[float, float, int, str, str]]
) -> Chart | None:
    """Points (x, y, node, hover text, kind) on equal scales with the diagonal x = y; None without points."""
    if not points:
        return None
    both = span([value for p in points for value in p[:2]])
    return _chart(SQUARE, (title, x_label, y_label), both, both, points=points, diagonal=True)


def cloud(title: str, x_label: str, y_label: str, points: Sequence[tuple[float, float, int, str, str]]) -> Chart | None:
    """Points (x, y, target, hover text, kind), each axis with its own scale; None without points."""
    if not points:
        return None
    spans = span([p[0] for p in points]), span([p[1] for p in points])
    return _chart(WIDE, (title, x_label, y_label), *spans, points=points)


def progress(title: str, x_label: str, y_label: str, curves: Sequence[Sequence[float | None]]) -> Chart | None:
    """One staircase per run over its steps, from the first that was scored; None where nothing was."""
    known = [[(step, value) for step, value in enumerate(curve, 1) if value is not None] for curve in curves]
    values = [value for curve in known for _, value in curve]
    if not values:
        return None
    spans = span([len(curve) for curve in curves], zero=True), span(values)
    return _chart(WIDE, (title, x_label, y_label), *spans, stairs=known)


def sparkline(curve: Sequence[Sequence[float]], width: int = 160, height: int = 36) -> str:
    """Path data of a small curve of (x, y) points; empty for fewer than two finite ones."""
    finite = [(float(x), float(y)) for x, y in curve if y is not None and math.isfinite(y)]
    if len(finite) < 2:
        return ""
    xs, ys = zip(*finite, strict=True)
    x_scale = Scale(*span(xs), 1, width - 1)
    y_scale = Scale(*span(ys), height - 2, 2)
    return "M" + "L".join(f"{x_scale(x):g} {y_scale(y):g}" for x, y in finite)
