"""Linear layer and softmax cross-entropy in one, without keeping the logits."""

from kernels_pallas.linear_xent.api import XentOut, linear_xent

__all__ = ["XentOut", "linear_xent"]
