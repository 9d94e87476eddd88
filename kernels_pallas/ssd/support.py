"""Which ssd implementation can run what, and the order in which `auto` tries them."""

from kernels_pallas.common.dispatch import Impl, Op
from kernels_pallas.common.specs import SsdSpec


def _anything(spec: SsdSpec) -> str | None:
    return None


def _chunk(spec: SsdSpec, impl: Impl, platform: str) -> int:
    return 32 if platform == "cpu" and not impl.is_pallas else 128


OP = Op(
    name="ssd",
    supports={Impl.REFERENCE: _anything, Impl.XLA_SCAN: _anything},
    auto={"cpu": (Impl.XLA_SCAN,), "gpu": (Impl.XLA_SCAN,), "tpu": (Impl.XLA_SCAN,)},
    default_chunk=_chunk,
)
