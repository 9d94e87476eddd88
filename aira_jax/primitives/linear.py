"""Linear layers and their two initialisations."""

import enum

import flax.linen as nn
import jax
import jax.numpy as jnp


class LinearInit(enum.StrEnum):
    """FAN_IN: uniform in +-1/sqrt(fan_in). NORMAL: normal with standard deviation 0.02. Biases start at 0."""

    FAN_IN = "fan_in"
    NORMAL = "normal"


_INITIALIZERS = {
    LinearInit.FAN_IN: nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform"),
    LinearInit.NORMAL: nn.initializers.normal(0.02),
}


class Linear(nn.Module):
    """x [..., fan_in] @ kernel [fan_in, features] (+ bias); float32 parameters, products in `dtype`."""

    features: int
    bias: bool = False
    init: LinearInit = LinearInit.FAN_IN
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (x.shape[-1], self.features)
        kernel = self.param("kernel", _INITIALIZERS[self.init], shape, jnp.float32)
        y = x.astype(self.dtype) @ kernel.astype(self.dtype)
        if self.bias:
            y += self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32).astype(self.dtype)
        return y
