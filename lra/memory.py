"""Memory of the process that trains: how much was used, what is kept, and whose fault it is when it runs out."""

import contextlib
import ctypes
import resource
from collections.abc import Iterator

import jax

from lra.failures import CandidateFault, Kind

_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8  # glibc's malloc.h
_LARGEST = 2**31 - 1


def keep_freed_pages() -> bool:
    """Lets the C library reuse large freed blocks instead of giving them back; True where that could be set.

    XLA's CPU client allocates the temporaries of a program anew for every call. Given back each time, every page of
    them is faulted in again: a third of the CPU time of a small step (lra/BENCHMARKS.md). Call it before jax starts
    its threads, so that all of them share one heap. No effect on the memory of devices.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    options = {_M_ARENA_MAX: 1, _M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: _LARGEST}
    accepted = [mallopt(option, value) for option, value in options.items()]
    return all(accepted)


def peak_bytes() -> int:
    """The most memory used so far: of the fullest device, or of this process where devices do not say."""
    stats = [device.memory_stats() or {} for device in jax.local_devices()]
    peaks = [values["peak_bytes_in_use"] for values in stats if "peak_bytes_in_use" in values]
    return max(peaks) if peaks else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@contextlib.contextmanager
def blamed() -> Iterator[None]:
    """What XLA says of a program that it compiles or runs becomes a CandidateFault: oom or crash."""
    try:
        yield
    except (jax.errors.JaxRuntimeError, MemoryError) as error:
        reason = " ".join(str(error).split())[:400]
        if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in reason:
            mend = "choose a smaller batch, shorter sequences or a narrower model"
            raise CandidateFault(Kind.OOM, f"memory ran out while running: {reason}; {mend}") from error
        raise CandidateFault(Kind.CRASH, f"the compiled model failed while running: {reason}") from error
