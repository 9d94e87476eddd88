"""How much memory a process has used, and what it means when it runs out."""

import contextlib
import resource
from collections.abc import Iterator

import jax

from lra.failures import CandidateFault, Kind


def peak_bytes() -> int:
    """The most memory used so far: of the fullest device, or of this process where devices do not say."""
    stats = [device.memory_stats() or {} for device in jax.local_devices()]
    peaks = [values["peak_bytes_in_use"] for values in stats if "peak_bytes_in_use" in values]
    return max(peaks) if peaks else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@contextlib.contextmanager
def blamed() -> Iterator[None]:
    """What XLA says when memory runs out becomes a CandidateFault (oom)."""
    try:
        yield
    except (jax.errors.JaxRuntimeError, MemoryError) as error:
        if not isinstance(error, MemoryError) and "RESOURCE_EXHAUSTED" not in str(error):
            raise
        reason = " ".join(str(error).split())[:400]
        mend = "choose a smaller batch, shorter sequences or a narrower model"
        raise CandidateFault(Kind.OOM, f"memory ran out while running: {reason}; {mend}") from error
