"""What the training kit refuses or meets, as faults of a candidate: time, memory, numbers that are not finite."""

import contextlib
from collections.abc import Callable, Iterator

from aira_jax.core.machine import available_bytes, keep_freed_pages
from aira_jax.train import clock, memory
from aira_jax.train.errors import DeviceFailure, DoesNotFit, NotFinite, OutOfMemory, TimeLimit, TrainingError
from aira_jax.train.memory import limit_bytes, need_bytes, peak_bytes
from lra.failures import CandidateFault, Kind
from lra.settings import Settings

__all__ = [
    "Clock",
    "available_bytes",
    "blamed",
    "keep_freed_pages",
    "limit_bytes",
    "need_bytes",
    "peak_bytes",
    "refuse",
]

_GIB = 2**30
_MEANING = {
    NotFinite: (Kind.NAN, ": lower LR, or bound what the model divides or exponentiates"),
    TimeLimit: (Kind.TIMEOUT, ""),
    DoesNotFit: (Kind.OOM_PREFLIGHT, ""),
    OutOfMemory: (Kind.OOM, "; choose a smaller batch, shorter sequences or a narrower model"),
    DeviceFailure: (Kind.CRASH, ""),
}


@contextlib.contextmanager
def blamed(more: str = "") -> Iterator[None]:
    """What the kit or XLA raises becomes a CandidateFault; `more` is added to its text."""
    try:
        with memory.watched():
            yield
    except TrainingError as error:
        kind, mend = _MEANING[type(error)]
        raise CandidateFault(kind, f"{error}{mend}{more}", **error.data) from error


class Clock(clock.Clock):
    """The kit's clock; a run that takes too long is the candidate's fault."""

    def check(self) -> None:
        with blamed():
            super().check()


def refuse(
    need: int, limit: int, settings: Settings, need_at: Callable[[int], int] | None, *, devices: int = 1
) -> None:
    """Raises CandidateFault (oom_preflight) when a step does not fit, see `aira_jax.train.memory.refuse`."""
    batch, heads, length = settings.batch_size, settings.num_heads, settings.max_length
    matrix = batch * heads * length * length * 4
    with blamed(
        f"; a softmax attention matrix B*h*L*L*4 bytes = {batch}*{heads}*{length}*{length}*4 = {matrix} "
        f"({matrix / _GIB:.1f} GiB) per layer"
    ):
        memory.refuse(need, limit, batch, need_at, devices=devices)
