"""A primitive from outside the package: one file with a row and the layer's class. Read through AIRA_JAX_PRIMITIVES."""

from aira_jax.patterns import Primitive, register


def layer():
    """y_t = decay y_(t-1) + x_t W, one decay per channel."""
    import flax.linen as nn
    import jax

    class Decay(nn.Module):
        dim: int

        @classmethod
        def small(cls, size, options):
            return cls(size.dim)

        @classmethod
        def large(cls, size):
            return cls(size.dims.d_model)

        @nn.compact
        def __call__(self, x_BLD):
            decay_D = nn.sigmoid(self.param("decay", nn.initializers.zeros, (self.dim,)))
            x_LBD = nn.Dense(self.dim, use_bias=False)(x_BLD).swapaxes(0, 1)
            y_LBD = jax.lax.scan(lambda y, x: (decay_D * y + x,) * 2, jax.numpy.zeros_like(x_LBD[0]), x_LBD)[1]
            return y_LBD.swapaxes(0, 1)

    return Decay


register(
    Primitive(
        "D",
        "decay",
        "#147a56",
        layer=layer,
        proxy_parameters=lambda options, width: width * width + width,
        parameters=lambda dims: dims.d_model**2 + dims.d_model,
        flops=lambda dims: 6 * dims.d_model**2,
    )
)
