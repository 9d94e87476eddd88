"""The MLP primitive M. B batch, L length, D model dim, F hidden dim."""

import dataclasses

import flax.linen as nn
import jax

from aira_jax.primitives.activation import Activation
from aira_jax.primitives.linear import Linear, LinearInit


@dataclasses.dataclass(frozen=True)
class MLPConfig:
    dim: int
    hidden: int
    activation: Activation = Activation.RELU
    bias: bool = False
    init: LinearInit = LinearInit.FAN_IN
    dtype: str = "float32"


class MLP(nn.Module):
    """Position-wise MLP. x [..., dim] -> the same shape, in the config's dtype.

    Sources: Vaswani et al. 2017; Shazeer 2020 (SwiGLU).
    """

    config: MLPConfig

    @classmethod
    def small(cls, size, options) -> "MLP":
        """The layer of a proxy: `ratio` times the width, with the proxy's activation where none is chosen."""
        activation = Activation(options.chosen.get("act", size.activation))
        hidden = options["ratio"] * size.dim
        return cls(MLPConfig(size.dim, hidden, activation, init=size.init, dtype=size.dtype))

    @classmethod
    def large(cls, size) -> "MLP":
        """SwiGLU."""
        return cls(MLPConfig(size.dims.d_model, size.dims.mlp_hidden, Activation.SWIGLU, dtype=size.dtype))

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        c = self.config

        def linear(features, name):
            return Linear(features, bias=c.bias, init=c.init, dtype=c.dtype, name=name)

        h = linear(c.hidden, "up")(x)
        match c.activation:
            case Activation.RELU:
                h = nn.relu(h)
            case Activation.GELU_TANH:
                h = nn.gelu(h, approximate=True)
            case Activation.SWIGLU:
                h *= nn.silu(linear(c.hidden, "gate")(x))
        return linear(c.dim, "down")(h)

    def init_cache(self, batch: int, length: int) -> tuple[()]:
        """An MLP remembers nothing between tokens."""
        del batch, length
        return ()

    def prefill(self, x_BLD: jax.Array, cache: tuple[()]) -> tuple[jax.Array, tuple[()]]:
        """The call on all tokens."""
        return self(x_BLD), cache

    def step(self, x_BD: jax.Array, cache: tuple[()], position: jax.Array) -> tuple[jax.Array, tuple[()]]:
        """One token per sequence."""
        del position
        return self(x_BD), cache
