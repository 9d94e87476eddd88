"""Kernels of the Mamba-2 primitive: the associative scan, the sequence mixer, and the operators around it.

Every operator has a reference, XLA implementations and, where it pays, Pallas ones, behind one public function with one
dispatch rule (common/dispatch.py). Importing this package needs no device and no Pallas backend.
"""

from kernels_pallas.common.dispatch import Choice, Impl, chosen, interpret_mode, portable
from kernels_pallas.common.specs import ConvSpec, NormSpec, ScanSpec, SsdSpec, XentSpec
from kernels_pallas.conv1d.api import causal_conv1d, causal_conv1d_step
from kernels_pallas.gated_norm.api import gated_rmsnorm
from kernels_pallas.inspection import SelfCheckError, explain, selfcheck
from kernels_pallas.linear_xent import api as _linear_xent_api
from kernels_pallas.linear_xent.api import XentOut, linear_xent
from kernels_pallas.ssd import api as _ssd_api
from kernels_pallas.ssd.api import ssd, ssd_step
from kernels_pallas.state_scan import api as _state_scan_api
from kernels_pallas.state_scan.api import state_scan

# Functions with the name of their folder: `import kernels_pallas.ssd.api` still finds the module through them.
ssd.api, state_scan.api, linear_xent.api = _ssd_api, _state_scan_api, _linear_xent_api

__all__ = [
    "Choice",
    "ConvSpec",
    "Impl",
    "NormSpec",
    "ScanSpec",
    "SelfCheckError",
    "SsdSpec",
    "XentOut",
    "XentSpec",
    "causal_conv1d",
    "causal_conv1d_step",
    "chosen",
    "explain",
    "gated_rmsnorm",
    "interpret_mode",
    "linear_xent",
    "portable",
    "selfcheck",
    "ssd",
    "ssd_step",
    "state_scan",
]
