"""Depthwise causal convolution with SiLU, whole sequences and one token at a time."""

from kernels_pallas.conv1d.api import causal_conv1d, causal_conv1d_step

__all__ = ["causal_conv1d", "causal_conv1d_step"]
