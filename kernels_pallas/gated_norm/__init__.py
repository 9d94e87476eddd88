"""RMS normalisation of gated activations, RMSNorm(y * silu(z)) * w."""

from kernels_pallas.gated_norm.api import gated_rmsnorm

__all__ = ["gated_rmsnorm"]
