"""Kernels of the Mamba-2 primitive: the associative scan, the sequence mixer, and the operators around it.

Every operator has a reference, XLA implementations and, where it pays, Pallas ones, behind one public function with one
dispatch rule (common/dispatch.py). Importing this package needs no device and no Pallas backend.
"""

from kernels_pallas.common.dispatch import Choice, Impl, interpret_mode
from kernels_pallas.conv1d.api import causal_conv1d, causal_conv1d_step
from kernels_pallas.gated_norm.api import gated_rmsnorm
from kernels_pallas.ssd.api import ssd, ssd_step

__all__ = [
    "Choice",
    "Impl",
    "causal_conv1d",
    "causal_conv1d_step",
    "gated_rmsnorm",
    "interpret_mode",
    "ssd",
    "ssd_step",
]
