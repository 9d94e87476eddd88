"""The associative scan over (decay, state) pairs."""

from kernels_pallas.state_scan.api import state_scan

__all__ = ["state_scan"]
