"""Which causal_conv1d implementation can run what, and the order in which `auto` tries them."""

from kernels_pallas.common.dispatch import Impl, Op
from kernels_pallas.common.specs import ConvSpec


def _anything(spec: ConvSpec) -> str | None:
    return None


OP = Op(
    name="causal_conv1d",
    supports={Impl.REFERENCE: _anything, Impl.XLA: _anything},
    auto={"cpu": (Impl.XLA,), "gpu": (Impl.XLA,), "tpu": (Impl.XLA,)},
)
