"""The devices at hand: their peak, and which attention they run."""

import os

import jax

from aira_jax.pretrain.settings import Attention
from aira_jax.primitives.attention import AttentionImpl

PEAK_FLOPS = {"H100": 989.5e12, "H200": 989.5e12}  # bfloat16, dense
FUSED_FROM = 9.0  # compute capability


def peak_flops() -> float | None:
    """bfloat16 FLOP/s of one device; None where they are not known."""
    kind = jax.devices()[0].device_kind
    return next((peak for name, peak in PEAK_FLOPS.items() if name in kind), None)


def attention(wanted: Attention, dtype: str, head_dim: int) -> AttentionImpl:
    """The implementation that `wanted` means here; never exchanged later. Raises ValueError for cudnn where it cannot
    run, naming what can."""
    obstacle = _no_cudnn(dtype, head_dim)
    if wanted is Attention.AUTO:
        return AttentionImpl.DENSE if obstacle else AttentionImpl.CUDNN
    if wanted is Attention.CUDNN and obstacle:
        raise ValueError(f"attention=cudnn needs {obstacle}: use dense or blocked")
    return AttentionImpl(wanted.value)


def _no_cudnn(dtype: str, head_dim: int) -> str | None:
    device = jax.devices()[0]
    if device.platform != "gpu" or float(getattr(device, "compute_capability", "0")) < FUSED_FROM:
        return f"a GPU of compute capability {FUSED_FROM:g} or more, this is {device.device_kind}"
    if dtype != "bfloat16":
        return f"bfloat16, model.dtype is {dtype}"
    if head_dim > 256 or head_dim % 8:
        return f"heads of a multiple of 8 up to 256 dims, these have {head_dim}"
    return None


def xla_flags() -> str:
    return os.environ.get("XLA_FLAGS", "")
