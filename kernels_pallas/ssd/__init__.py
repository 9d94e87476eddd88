"""The Mamba-2 sequence mixer (state-space dual): chunked scan and one-token step.

One file per backend (reference, xla, xla_scan, three of Pallas), and what they share.
"""

from kernels_pallas.ssd.api import ssd, ssd_step

__all__ = ["ssd", "ssd_step"]
