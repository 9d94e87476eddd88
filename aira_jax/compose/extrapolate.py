"""From a small base pattern to one of about a target size: stretch its runs, or stack copies of it.

With s = target / base size, both in non-embedding parameters at the widths of the target scale:
    stretch   every run of h layers becomes a run of ceil(s h) layers
    stack     floor(s) copies, then a fragment whose runs have round((s - floor(s)) h) layers (empty runs vanish)
These defaults reproduce all published two-primitive Composer models (arXiv 2510.00379, as printed in arXiv
2605.15871, appendix D). Stack bases of few layers, stretch bases of 16: stretching 2A-4M would end as all attention
followed by all MLP. All arithmetic is rational.
"""

import dataclasses
import enum
import itertools
import math
import warnings
from collections.abc import Sequence
from fractions import Fraction

from aira_jax.compose import dims as dims_lib
from aira_jax.compose import flops
from aira_jax.compose.dims import Dims
from aira_jax.compose.flops import Parameters, as_pattern
from aira_jax.core import choices
from aira_jax.core import rounding as rounding_lib
from aira_jax.core.rounding import Rounding
from aira_jax.patterns import MAX_LAYERS, Pattern, tokens

MAX_DEVIATION = Fraction(1, 10)  # a size further from its target than this is worth a warning
MIN_RUNS = 3

Base = Pattern | str | Sequence[str]


class ExtrapolationWarning(UserWarning):
    """The result is valid, but probably not what was wanted."""


class Method(enum.StrEnum):
    STRETCH = "stretch"
    STACK = "stack"


class Remainder(enum.StrEnum):
    """What stack does with the fraction of a copy. `round` is accepted as another word for `nearest`."""

    CEIL = "ceil"
    NEAREST = "nearest"  # halves go up
    FLOOR = "floor"
    PREFIX = "prefix"  # layers of the base in their order, while the size stays within the target

    @classmethod
    def _missing_(cls, value):
        return cls.NEAREST if value == "round" else None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fit:
    """A base pattern brought to a scale."""

    base: Pattern
    pattern: Pattern
    method: Method
    dims: Dims
    factor: Fraction  # target / base size
    warnings: tuple[str, ...]

    @property
    def parameters(self) -> Parameters:
        return flops.params(self.pattern, self.dims)

    @property
    def deviation(self) -> Fraction:
        """Size relative to the target: 0.05 is 5 % too large."""
        return Fraction(self.parameters.non_embedding, self.dims.target) - 1

    def to_json(self) -> dict:
        """Plain values: the pattern, its sizes, FLOPs per token, and steps at the budgets of the isoFLOP study."""
        return {
            "pattern": self.pattern.canonical(),
            "pretty": self.pattern.pretty(),
            "layers": len(self.pattern),
            "counts": {p: self.pattern.counts()[p] for p in tokens()},
            "factor": float(self.factor),
            "non_embedding": self.parameters.non_embedding,
            "total": self.parameters.total,
            "target": self.dims.target,
            "deviation": float(self.deviation),
            "flops_per_token": flops.flops_per_token(self.pattern, self.dims),
            "steps": {b: flops.training_steps(self.pattern, scale=self.dims, budget=b) for b in flops.BUDGETS},
            "warnings": list(self.warnings),
        }


def stretch(
    pattern: Base,
    factor: float | str | Fraction | None = None,
    *,
    scale: str | Dims | None = None,
    space: int | str | None = None,
    rounding: Rounding | str = Rounding.CEIL,
) -> Pattern:
    """`pattern` with every run multiplied, either by `factor` or by what reaches `scale` in `space`.

    Raises ValueError for a target that no stretching reaches, and for a run that would lose all its layers.
    """
    if factor is None:
        return _warned(_fit(pattern, _required(scale), Method.STRETCH, space, rounding=rounding)).pattern
    _exclusive(scale)
    base = as_pattern(pattern)
    _warn(_few_runs(base))
    return _stretched(base, rounding_lib.positive(factor, "factor"), rounding)


def stack(
    pattern: Base,
    factor: float | str | Fraction | None = None,
    *,
    scale: str | Dims | None = None,
    space: int | str | None = None,
    remainder: Remainder | str = Remainder.NEAREST,
) -> Pattern:
    """Copies of `pattern` and a remainder, either `factor` times its size or what reaches `scale` in `space`.

    Raises ValueError below one copy. The remainder `prefix` needs a scale, because it compares sizes.
    """
    if factor is None:
        return _warned(_fit(pattern, _required(scale), Method.STACK, space, remainder=remainder)).pattern
    _exclusive(scale)
    if choices.member(Remainder, remainder, "remainder") is Remainder.PREFIX:
        raise ValueError("the remainder 'prefix' compares sizes: give scale and space instead of a factor")
    return _stacked(as_pattern(pattern), rounding_lib.positive(factor, "factor"), remainder)


def fit(
    pattern: Base,
    scale: str | Dims,
    method: Method | str,
    *,
    space: int | str | None = None,
    rounding: Rounding | str = Rounding.CEIL,
    remainder: Remainder | str = Remainder.NEAREST,
) -> Fit:
    """`pattern` brought to `scale`, with its size and what is odd about it (also issued as ExtrapolationWarning).

    Args: `rounding` serves stretch, `remainder` serves stack; custom `Dims` bring their own target.
    """
    return _warned(_fit(pattern, scale, method, space, rounding, remainder))


def _fit(
    pattern: Base,
    scale: str | Dims,
    method: Method | str,
    space: int | str | None,
    rounding: Rounding | str = Rounding.CEIL,
    remainder: Remainder | str = Remainder.NEAREST,
) -> Fit:
    base, dims = as_pattern(pattern), dims_lib.get(scale, space)
    method = choices.member(Method, method, "method")
    factor = Fraction(dims.target, flops.params(base, dims).non_embedding)
    if method is Method.STRETCH:
        _check_reachable(base, dims)
        scaled, notes = _stretched(base, factor, rounding), _few_runs(base)
    elif remainder == Remainder.PREFIX:
        scaled, notes = _stacked_prefix(base, factor, dims), []
    else:
        scaled, notes = _stacked(base, factor, remainder, dims), []
    result = Fit(base=base, pattern=scaled, method=method, dims=dims, factor=factor, warnings=())
    return dataclasses.replace(result, warnings=(*notes, *_far_off(result)))


def _stretched(base: Pattern, factor: Fraction, rounding: Rounding | str) -> Pattern:
    runs = [(p, rounding_lib.apply(rounding, factor * h)) for p, h in base.runs()]
    for i, (p, h) in enumerate(runs):
        if h == 0:
            raise ValueError(
                f"run {i + 1} of {_named(base)} ({base.runs()[i][1]} x {p}) vanishes at factor {float(factor):.4g}: "
                "use rounding='ceil'"
            )
    return _expand(runs, base, factor)


def _stacked(base: Pattern, factor: Fraction, remainder: Remainder | str, dims: Dims | None = None) -> Pattern:
    copies = _copies(base, factor, dims)
    rounding = Rounding(choices.member(Remainder, remainder, "remainder"))
    rest = [(p, rounding_lib.apply(rounding, (factor - copies) * h)) for p, h in base.runs()]
    return _expand([*base.runs() * copies, *rest], base, factor)


def _stacked_prefix(base: Pattern, factor: Fraction, dims: Dims) -> Pattern:
    layers = base.layers * _copies(base, factor, dims)
    for layer in itertools.cycle(base.layers):
        if flops.params((*layers, layer), dims).non_embedding > dims.target:
            return Pattern(layers)
        layers += (layer,)


def _copies(base: Pattern, factor: Fraction, dims: Dims | None) -> int:
    if factor < 1:
        target = f"the target of {dims.name}, {dims.target:,} parameters," if dims else "the target"
        raise ValueError(
            f"{target} is less than one copy of {_named(base)} (factor {float(factor):.4g}): "
            "use stretch, a larger scale, or a base with fewer layers"
        )
    _check_length(len(base) * math.floor(factor), base, factor)
    return math.floor(factor)


def _expand(runs: Sequence[tuple[str, int]], base: Pattern, factor: Fraction) -> Pattern:
    _check_length(sum(h for _, h in runs), base, factor)
    return Pattern(tuple(itertools.chain.from_iterable([p] * h for p, h in runs)))


def _check_length(n: int, base: Pattern, factor: Fraction) -> None:
    if n > MAX_LAYERS:
        raise ValueError(
            f"{_named(base)} at factor {float(factor):.4g} has {n} layers, above {MAX_LAYERS}: lower the target"
        )


def _check_reachable(base: Pattern, dims: Dims) -> None:
    smallest = flops.params([p for p, _ in base.runs()], dims).non_embedding
    if smallest > dims.target:
        raise ValueError(
            f"{_named(base)} cannot be stretched to {dims.name}: with one layer each, its {len(base.runs())} runs have "
            f"{smallest:,} parameters, and the target is {dims.target:,}: "
            "use a larger scale or a base with fewer runs"
        )


def _few_runs(base: Pattern) -> list[str]:
    runs = len(base.runs())
    if runs >= MIN_RUNS:
        return []
    return [f"{_named(base)} has {runs} run{'s' * (runs > 1)} only: stretched, it stops alternating; stack it instead"]


def _far_off(result: Fit) -> list[str]:
    if abs(result.deviation) <= MAX_DEVIATION:
        return []
    size, target = result.parameters.non_embedding, result.dims.target
    return [
        f"{_named(result.base)} by {result.method} at {result.dims.name} has {size:,} non-embedding parameters, "
        f"{float(result.deviation):+.1%} from the target {target:,}: try another rounding or method"
    ]


def _named(base: Pattern) -> str:
    return base.source or base.pretty()


def _warned(result: Fit) -> Fit:
    _warn(result.warnings, stacklevel=4)
    return result


def _warn(notes: Sequence[str], stacklevel: int = 3) -> None:
    for note in notes:
        warnings.warn(note, ExtrapolationWarning, stacklevel=stacklevel)


def _required(scale: str | Dims | None) -> str | Dims:
    if scale is None:
        raise ValueError("give either a factor, or scale and space")
    return scale


def _exclusive(scale: str | Dims | None) -> None:
    if scale is not None:
        raise ValueError("give either a factor, or scale and space, and not both")
