"""Residual blocks, and the sizes at which their layers are built: Small for the proxies, Large at scale.

A layer is named as in a pattern; its class stands in the primitive's row of `patterns.registry`.
"""

import dataclasses
import enum
from typing import Any, ClassVar

import flax.linen as nn
import jax

from aira_jax.patterns import options, registry
from aira_jax.primitives.activation import Activation
from aira_jax.primitives.attention import AttentionImpl
from aira_jax.primitives.linear import LinearInit
from aira_jax.primitives.norm import Norm, NormKind


@dataclasses.dataclass(frozen=True)
class Small:
    """The layers of the proxies: `dim` is the model width; the rest holds for all layers that know it."""

    dim: int = 128
    activation: Activation = Activation.RELU
    attention: AttentionImpl = AttentionImpl.BLOCKED
    ssd_impl: str = "auto"
    init: LinearInit = LinearInit.FAN_IN
    dtype: str = "float32"
    norm: ClassVar[NormKind] = NormKind.LAYER

    def block(self, layer: str) -> "Block":
        """The residual block of a layer, such as "A" or "M[ratio=2]". Raises ValueError for one that does not fit."""
        self.layer(options.read(layer))
        return Block(self, layer)

    def layer(self, layer: options.Layer) -> nn.Module:
        return registry.get(layer.primitive).layer_class.small(self, layer)


@dataclasses.dataclass(frozen=True)
class Large:
    """The layers of the large models at the sizes of `dims` (aira_jax.compose.dims.Dims)."""

    dims: Any
    attention: AttentionImpl = AttentionImpl.DENSE
    ssd_impl: str = "auto"
    dtype: str = "bfloat16"
    norm: ClassVar[NormKind] = NormKind.RMS
    init: ClassVar[LinearInit] = LinearInit.FAN_IN

    @property
    def dim(self) -> int:
        return self.dims.d_model

    def block(self, layer: str) -> "Block":
        """The residual block of a primitive; options of layers exist in proxy models only."""
        self.layer(options.read(layer))
        return Block(self, layer)

    def layer(self, layer: options.Layer) -> nn.Module:
        if layer.chosen:
            raise ValueError(f"{layer}: layers have options in proxy models only")
        return registry.get(layer.primitive).layer_class.large(self)


class NormPlace(enum.StrEnum):
    """PRE: x + layer(norm(x)). POST: x + norm(layer(x)), where the residual stream itself stays without norms."""

    PRE = "pre"
    POST = "post"


class Block(nn.Module):
    """x + layer(norm(x)), or x + norm(layer(x)), in x's dtype."""

    size: Small | Large
    text: str

    def setup(self):
        chosen = options.read(self.text)
        self.place = NormPlace(chosen["place"])
        self.norm = Norm(NormKind(chosen.chosen.get("norm", self.size.norm)))
        self.layer = self.size.layer(chosen)

    def __call__(self, x_BLD: jax.Array) -> jax.Array:
        if self.place is NormPlace.POST:
            return x_BLD + self.norm(self.layer(x_BLD)).astype(x_BLD.dtype)
        return x_BLD + self.layer(self.norm(x_BLD)).astype(x_BLD.dtype)

    def init_cache(self, batch: int, length: int):
        """The layer's memory of `batch` empty sequences that will grow to at most `length` tokens."""
        return self.layer.init_cache(batch, length)

    def prefill(self, x_BLD: jax.Array, cache):
        """The call on all tokens of empty sequences: (x, cache) after the block."""
        post = self.place is NormPlace.POST
        y_BLD, cache = self.layer.prefill(x_BLD if post else self.norm(x_BLD), cache)
        return x_BLD + (self.norm(y_BLD) if post else y_BLD).astype(x_BLD.dtype), cache

    def step(self, x_BD: jax.Array, cache, position: jax.Array):
        """One token per sequence: (x, cache) after the block."""
        post = self.place is NormPlace.POST
        y_BD, cache = self.layer.step(x_BD if post else self.norm(x_BD), cache, position)
        return x_BD + (self.norm(y_BD) if post else y_BD).astype(x_BD.dtype), cache
