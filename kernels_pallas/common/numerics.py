"""Number formats: which dtype accumulates, and matrix products that never lose precision silently."""

import jax
import jax.numpy as jnp
import numpy as np


def wide(dtype) -> jnp.dtype:
    """The dtype of decays, states, sums and statistics: float64 for float64 inputs, else float32."""
    return jnp.dtype(jnp.float64) if jnp.dtype(dtype) == jnp.float64 else jnp.dtype(jnp.float32)


def precision(dtype) -> jax.lax.Precision | None:
    """HIGHEST for 32- and 64-bit operands (GPUs would use TF32 otherwise); bfloat16 products are exact in float32."""
    return None if jnp.dtype(dtype) == jnp.bfloat16 else jax.lax.Precision.HIGHEST


def einsum(spec: str, *operands, dtype):
    """einsum with operands in `dtype`, accumulated and returned in wide(dtype)."""
    cast = [x.astype(dtype) for x in operands]
    return jnp.einsum(spec, *cast, precision=precision(dtype), preferred_element_type=wide(dtype))


def rms_error(got, want) -> float:
    """rms(got - want) / rms(want) in float64; rms(got) when `want` is all zero."""
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    scale = np.sqrt(np.mean(want**2))
    return float(np.sqrt(np.mean((got - want) ** 2)) / (scale if scale > 0 else 1.0))
