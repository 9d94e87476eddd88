"""The activations of the MLP primitive. Importable without jax."""

import enum


class Activation(enum.StrEnum):
    """RELU and GELU_TANH have two matrices, SWIGLU three: silu(x W_gate) * (x W_up), then W_down."""

    RELU = "relu"
    GELU_TANH = "gelu-tanh"
    SWIGLU = "swiglu"
