"""gated_rmsnorm with a hand-written backward pass that saves only the inputs.

With u = y silu(z) (or u = y when the norm comes before the gate), r = rsqrt(mean u^2 + eps), n = w dout (times
the gate): du = r (n - u r^2 mean(n u)). K channels.
"""

import functools

import jax
import jax.numpy as jnp

from kernels_pallas.common.numerics import wide
from kernels_pallas.gated_norm import reference


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4, 5))
def norm(y, z, w_K, groups: int, eps: float, norm_before_gate: bool):
    """[...,K] in y.dtype."""
    with jax.named_scope("gated_norm/forward"):
        return reference.norm(y, z, w_K, groups=groups, eps=eps, norm_before_gate=norm_before_gate)


def _forward(y, z, w_K, groups, eps, norm_before_gate):
    return norm(y, z, w_K, groups, eps, norm_before_gate), (y, z, w_K)


def _backward(groups, eps, norm_before_gate, saved, dout):
    y, z, w = saved
    dtype = wide(y.dtype)
    y32, z32, w32, dout = (v.astype(dtype) for v in (y, z, w, dout))

    def mean(v):
        grouped = v.reshape(*v.shape[:-1], groups, -1)
        return jnp.broadcast_to(jnp.mean(grouped, axis=-1, keepdims=True), grouped.shape).reshape(v.shape)

    with jax.named_scope("gated_norm/backward"):
        s = jax.nn.sigmoid(z32)
        gate, dgate = z32 * s, s * (1 + z32 * (1 - s))
        u = y32 if norm_before_gate else y32 * gate
        dnormed = dout * gate if norm_before_gate else dout
        r = jax.lax.rsqrt(mean(u**2) + eps)
        n = w32 * dnormed
        du = r * (n - u * r**2 * mean(n * u))
        dw = jnp.sum(dnormed * u * r, axis=tuple(range(y.ndim - 1)))
        dy = du if norm_before_gate else du * gate
        dz = dgate * (dout * w32 * u * r if norm_before_gate else du * y32)
    return dy.astype(y.dtype), dz.astype(z.dtype), dw.astype(w.dtype)


norm.defvjp(_forward, _backward)
