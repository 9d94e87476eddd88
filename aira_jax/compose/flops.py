"""Parameters, training FLOPs and training steps of a pattern at scale, in exact integer arithmetic.

Conventions of the paper: a linear map [a, b] costs 6ab FLOPs per token (forward and backward); attention is not halved
for causality; embedding, unembedding, norms and activations are not counted.
Source: arXiv 2605.15871, appendix D, tables 10 and 11.
"""

import numbers
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from aira_jax.compose import dims as dims_lib
from aira_jax.compose.dims import Dims, Space
from aira_jax.core import choices
from aira_jax.core import rounding as rounding_lib
from aira_jax.core.rounding import Rounding
from aira_jax.patterns import Pattern, parse, registry

BUDGETS = ("2e19", "4e19", "8e19", "2e20", "4e20")  # FLOPs, the ladder of the isoFLOP study
PUBLISHED_ROUNDING = {2: Rounding.NEAREST, 3: Rounding.FLOOR}  # by space: table 10, table 11

Layers = Pattern | str | Sequence[str] | Mapping[str, int]  # a pattern, its text, its layers, or its counts


class Parameters(NamedTuple):
    """Parameters of one model. `total` adds the tied embedding table."""

    non_embedding: int
    total: int


def as_pattern(layers: Pattern | str | Sequence[str]) -> Pattern:
    """A pattern from its text or its layers; PatternError or ValueError if it is none."""
    if isinstance(layers, Pattern):
        return layers
    return parse(layers) if isinstance(layers, str) else Pattern(tuple(layers))


def layer_counts(layers: Layers, space: Space) -> dict[str, int]:
    """How many layers of each primitive of `space` there are.

    Raises ValueError (PatternError for text) for a foreign primitive, a count that is no integer >= 0, or no layer.
    """
    allowed = dims_lib.primitives(space)
    counts = layers if isinstance(layers, Mapping) else as_pattern(layers).counts()
    for name, n in counts.items():
        if name not in registry.tokens():
            raise ValueError(choices.unknown("primitive in the counts", name, list(allowed)))
        if isinstance(n, bool) or not isinstance(n, numbers.Integral) or n < 0:
            raise ValueError(f"count of {name}: {n!r} is no integer >= 0")
        if n and name not in allowed:
            wider = dims_lib.space_of({*allowed, name})
            raise ValueError(
                f"{name} ({n} layers) does not belong to space {space} ({', '.join(allowed)}): use space={wider}"
            )
    if not any(counts.values()):
        raise ValueError("the counts hold no layer: give at least one, for example {'A': 9, 'M': 18}")
    return {p: int(counts.get(p, 0)) for p in allowed}


def layer_flops(dims: Dims) -> dict[str, int]:
    """Training FLOPs per token of one layer of each primitive."""
    return {p: registry.get(p).flops(dims) for p in registry.tokens()}


def layer_parameters(dims: Dims) -> dict[str, int]:
    """Parameters of one layer of each primitive, without its norm gain (`d_model` more)."""
    return {p: registry.get(p).parameters(dims) for p in registry.tokens()}


def flops_per_token(layers: Layers, dims: Dims) -> int:
    """Training FLOPs per token of the whole model."""
    return _weighted(layer_counts(layers, dims.space), layer_flops(dims))


def params(layers: Layers, dims: Dims) -> Parameters:
    """Parameters of the whole model, norm gains included."""
    counts = layer_counts(layers, dims.space)
    norms = (sum(counts.values()) + 1) * dims.d_model
    non_embedding = _weighted(counts, layer_parameters(dims)) + norms
    return Parameters(non_embedding, non_embedding + dims.vocab * dims.d_model)


def parameters(pattern: Layers, *, scale: str | Dims, space: Space | None = None) -> Parameters:
    """(non-embedding, total) parameters of `pattern` at `scale`."""
    return params(pattern, dims_lib.get(scale, space))


def steps_for_budget(
    budget: float | str | Fraction,
    layers: Layers,
    scale: str | Dims,
    space: Space | None = None,
    rounding: Rounding | str = Rounding.FLOOR,
) -> int:
    """Optimizer steps that `budget` FLOPs pay for. The default never exceeds the budget; 0 if it buys no step."""
    dims = dims_lib.get(scale, space)
    per_step = flops_per_token(layers, dims) * dims.tokens_per_step
    return rounding_lib.apply(rounding, rounding_lib.positive(budget, "budget") / per_step)


def training_steps(
    layers: Layers | None = None,
    *,
    counts: Mapping[str, int] | None = None,
    scale: str | Dims,
    space: Space | None = None,
    budget: float | str | Fraction = 2e19,
    rounding: Rounding | str | None = None,
) -> int:
    """Steps as the paper's tables print them: to the nearest in space 2 (table 10), down elsewhere (table 11).

    Args: either `layers` or `counts`; `budget` in FLOPs; `rounding` overrides the rule of the tables, so that
    `rounding="floor"` never exceeds the budget in either space.
    """
    if (layers is None) == (counts is None):
        raise ValueError("give either a pattern or counts={token: layers, ..}, and not both")
    dims = dims_lib.get(scale, space)
    rule = PUBLISHED_ROUNDING.get(dims.space, Rounding.FLOOR) if rounding is None else rounding
    return steps_for_budget(budget, counts if layers is None else layers, dims, rounding=rule)


def _weighted(counts: Mapping[str, int], per_layer: Mapping[str, int]) -> int:
    return sum(n * per_layer[p] for p, n in counts.items())
