"""Residual blocks and the configs of a space: which attention, MLP, Mamba-2 and norm its patterns are made of."""

import dataclasses
import enum
import math
from collections.abc import Iterable

import flax.linen as nn
import jax

from aira_jax import layer_options
from aira_jax.patterns import PRIMITIVES
from aira_jax.primitives.activation import Activation
from aira_jax.primitives.attention import Attention, AttentionConfig, AttentionImpl
from aira_jax.primitives.linear import LinearInit
from aira_jax.primitives.mamba2 import Mamba2, Mamba2Config
from aira_jax.primitives.mlp import MLP, MLPConfig
from aira_jax.primitives.norm import Norm, NormKind

LayerConfig = AttentionConfig | MLPConfig | Mamba2Config
_LAYERS = {AttentionConfig: Attention, MLPConfig: MLP, Mamba2Config: Mamba2}


@dataclasses.dataclass(frozen=True)
class PrimitivesConfig:
    """The primitives of a space, by their tokens in the pattern language, and the norm before each of them."""

    A: AttentionConfig
    M: MLPConfig
    Mb: Mamba2Config
    norm: NormKind = NormKind.LAYER

    @property
    def dim(self) -> int:
        return self.A.dim

    def block(self, layer: str) -> "Block":
        """The residual block of "A", "M" or "Mb", in a proxy model also with options as in "M[ratio=2]"."""
        if layer in PRIMITIVES:
            return Block(getattr(self, layer), self.norm)
        options = layer_options.read(layer)
        norm = NormKind(options.chosen.get("norm", self.norm))
        return Block(self._configured(options), norm, NormPlace(options["place"]))

    def _configured(self, layer: layer_options.Layer) -> LayerConfig:
        plain = getattr(self, layer.primitive)
        if layer.chosen.keys() <= {"norm", "place"}:
            return plain
        match layer.primitive:
            case "A":
                heads, rest = divmod(self.dim, layer["head"])
                if rest:
                    raise ValueError(f"{layer}: the model width {self.dim} is no multiple of head={layer['head']}")
                return dataclasses.replace(plain, heads=heads, kv_heads=heads // layer["kv"], head_dim=layer["head"])
            case "M":
                activation = Activation(layer.chosen.get("act", plain.activation))
                return dataclasses.replace(plain, hidden=layer["ratio"] * self.dim, activation=activation)
        inner = layer["expand"] * self.dim
        return dataclasses.replace(plain, inner=inner, head_dim=math.gcd(64, inner), state=layer["state"])


class NormPlace(enum.StrEnum):
    """PRE: x + layer(norm(x)). POST: x + norm(layer(x)), where the residual stream itself stays without norms."""

    PRE = "pre"
    POST = "post"


class Block(nn.Module):
    """x + layer(norm(x)), or x + norm(layer(x)), in x's dtype."""

    layer_config: LayerConfig
    norm_kind: NormKind
    place: NormPlace = NormPlace.PRE

    def setup(self):
        self.norm = Norm(self.norm_kind)
        self.layer = _LAYERS[type(self.layer_config)](self.layer_config)

    def __call__(self, x_BLD: jax.Array) -> jax.Array:
        if self.place is NormPlace.POST:
            return x_BLD + self.norm(self.layer(x_BLD)).astype(x_BLD.dtype)
        return x_BLD + self.layer(self.norm(x_BLD)).astype(x_BLD.dtype)

    def init_cache(self, batch: int, length: int):
        """The layer's memory of `batch` empty sequences that will grow to at most `length` tokens."""
        return self.layer.init_cache(batch, length)

    def step(self, x_BD: jax.Array, cache, position: jax.Array):
        """One token per sequence: (x, cache) after the block."""
        post = self.place is NormPlace.POST
        y_BD, cache = self.layer.step(x_BD if post else self.norm(x_BD), cache, position)
        return x_BD + (self.norm(y_BD) if post else y_BD).astype(x_BD.dtype), cache


def small(
    dim: int = 128,
    *,
    activation: Activation = Activation.RELU,
    attention: AttentionImpl = AttentionImpl.BLOCKED,
    ssd_impl: str = "auto",
    init: LinearInit = LinearInit.FAN_IN,
    dtype: str = "float32",
) -> PrimitivesConfig:
    """The primitives of the proxies: heads of 8 dims, MLP of 4*dim, Mamba-2 with expand 2, state 16, one group.

    Mamba-2 heads have 64 dims, or as many as divide both 64 and 2*dim where the width is no multiple of 32.
    """
    common = {"dim": dim, "init": init, "dtype": dtype}
    return PrimitivesConfig(
        A=AttentionConfig(heads=dim // 8, kv_heads=dim // 8, head_dim=8, bias=True, impl=attention, **common),
        M=MLPConfig(hidden=4 * dim, activation=activation, **common),
        Mb=Mamba2Config(inner=2 * dim, head_dim=math.gcd(64, 2 * dim), state=16, ssd_impl=ssd_impl, **common),
    )


@dataclasses.dataclass(frozen=True)
class _Scale:
    dim: int
    heads: int
    head_dim: int
    hidden_2: int
    hidden_3: int
    state: int


_SCALES = {
    "350M": _Scale(1536, 24, 64, 4096, 6144, 128),
    "1B": _Scale(2048, 32, 64, 8192, 8192, 128),
    "3B": _Scale(3072, 24, 128, 8192, 12288, 256),
}


def large(
    scale: str, primitives: Iterable[str], *, ssd_impl: str = "auto", dtype: str = "bfloat16"
) -> PrimitivesConfig:
    """The primitives at "350M", "1B" or "3B" (arXiv 2605.15871): GQA with 8 key heads, SwiGLU, Mamba-2, RMSNorm.

    The MLP is wider in the space of three primitives than in that of two, except at 1B.
    """
    if scale not in _SCALES:
        raise ValueError(f"unknown scale {scale!r}: use one of {', '.join(_SCALES)}")
    s = _SCALES[scale]
    hidden = s.hidden_3 if len(set(primitives)) == 3 else s.hidden_2
    return PrimitivesConfig(
        A=AttentionConfig(s.dim, s.heads, kv_heads=8, head_dim=s.head_dim, rotary_base=5e5, dtype=dtype),
        M=MLPConfig(s.dim, hidden, activation=Activation.SWIGLU, dtype=dtype),
        Mb=Mamba2Config(s.dim, 2 * s.dim, state=s.state, ssd_impl=ssd_impl, dtype=dtype),
        norm=NormKind.RMS,
    )
