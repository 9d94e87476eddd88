"""Shapes that the benchmarks know, by name.

B batch, L time, H heads, P head dim, G groups, N state dim.
"""

import dataclasses

import jax

from kernels_pallas import cases
from kernels_pallas.common.roofline import BLOCKS, Block
from kernels_pallas.common.specs import ConvSpec, NormSpec, ScanSpec, SsdSpec, XentSpec


@dataclasses.dataclass(frozen=True)
class Shape:
    """A Mamba-2 block at a batch of sequences."""

    block: Block
    B: int
    L: int
    vocabulary: int = 128_256


_SMALL = BLOCKS["small"]
SHAPES = {
    "tiny": Shape(dataclasses.replace(_SMALL, d=64, H=2, P=32), 2, 64, 64),
    "small": Shape(dataclasses.replace(_SMALL, N=64), 16, 512, 512),
    "small_n16": Shape(_SMALL, 16, 512, 512),
    "small_long": Shape(_SMALL, 16, 2048, 512),
    "350m": Shape(BLOCKS["350M"], 1, 8192),
    "350m_train": Shape(BLOCKS["350M"], 8, 8192),
    "1b": Shape(BLOCKS["1B"], 1, 8192),
    "1b_train": Shape(BLOCKS["1B"], 4, 8192),
    "3b": Shape(BLOCKS["3B"], 1, 8192),
}
OPS = ("ssd", "state_scan", "causal_conv1d", "gated_rmsnorm", "linear_xent")
ALIASES = {"conv1d": "causal_conv1d", "gated_norm": "gated_rmsnorm"}


def case(spec, seed: int = 0) -> cases.Case:
    """The inputs of a benchmark. On GPUs `ssd` gets D and dt_bias, as in the model and as mamba_ssm is called."""
    whole = isinstance(spec, SsdSpec) and jax.default_backend() == "gpu"
    return cases.case(spec, seed, **({"skip": "H", "bias": True} if whole else {}))


def shape(name: str) -> Shape:
    """A shape by its name, in any case."""
    if name.lower() not in SHAPES:
        raise ValueError(f"unknown shape {name!r}; one of {', '.join(SHAPES)}")
    return SHAPES[name.lower()]


def op_name(name: str) -> str:
    """An operator by its name or the name of its folder."""
    name = ALIASES.get(name, name)
    if name not in OPS:
        raise ValueError(f"unknown operator {name!r}; one of {', '.join((*OPS, *ALIASES))}")
    return name


def spec(op: str, s: Shape, dtype: str):
    """The spec of an operator at a shape; state_scan gets the chunks of 128 of that sequence."""
    b = s.block
    match op:
        case "ssd":
            return SsdSpec(s.B, s.L, b.H, b.P, b.G, b.N, dtype)
        case "state_scan":
            return ScanSpec(s.B, -(-s.L // 128), b.H, b.P * b.N)
        case "causal_conv1d":
            return ConvSpec(s.B, s.L, b.channels, b.W, dtype)
        case "gated_rmsnorm":
            return NormSpec(s.B * s.L, b.inner, b.G, dtype)
        case "linear_xent":
            return XentSpec(s.B * s.L, b.d, s.vocabulary, min(8192, s.B * s.L), dtype)
    raise ValueError(f"unknown operator {op!r}")


def small(spec_):
    """The same kind of call at a size that the float64 reference can do."""
    sizes = {"B": 1, "L": 128, "H": 16 * getattr(spec_, "G", 1), "T": 64, "c": 4, "V": 256, "block": 24, "F": 256}
    changes = {k: min(v, getattr(spec_, k)) for k, v in sizes.items() if hasattr(spec_, k)}
    return dataclasses.replace(spec_, **changes)
