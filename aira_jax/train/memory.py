"""Memory of a training process: what the compiled step needs, what there is, what was used, and what runs out.

need = arguments + outputs - aliases + temporaries of the compiled program; nothing runs to find it out.
"""

import contextlib
import ctypes
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import jax

from aira_jax.train.errors import DeviceFailure, DoesNotFit, OutOfMemory

USABLE = 0.92  # of what is free
_GIB = 2**30
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8  # glibc's malloc.h
_LARGEST = 2**31 - 1


def need_bytes(program: jax.stages.Compiled) -> int:
    """Bytes of device memory that one call of a compiled program needs."""
    memory = program.memory_analysis()
    kept = memory.output_size_in_bytes - memory.alias_size_in_bytes
    return int(memory.argument_size_in_bytes + kept + memory.temp_size_in_bytes)


def limit_bytes(device: jax.Device, limit: int | None = None) -> int:
    """92 % of `limit`, else of what the device has; on CPU of what is available to this process."""
    return int(USABLE * (limit or _device_bytes(device) or available_bytes()))


def _device_bytes(device: jax.Device) -> int | None:
    return (device.memory_stats() or {}).get("bytes_limit")


def available_bytes() -> int:
    """The smaller of the machine's available memory and the control group's limit."""
    pages = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    known = [_meminfo("MemAvailable:") or pages]
    for path in map(Path, _CGROUP_LIMITS):
        if path.is_file() and (text := path.read_text().strip()).isdigit():
            known.append(int(text))
    return min(known)


def _meminfo(name: str) -> int | None:
    path = Path("/proc/meminfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), None)


def refuse(need: int, limit: int, batch: int, need_at: Callable[[int], int], *, devices: int = 1) -> None:
    """Raises DoesNotFit when `need` exceeds `limit`, with the largest halved batch that fits.

    `need_at(batch)` compiles the step for another batch, a multiple of `devices`, and returns its bytes on each.
    """
    if need <= limit:
        return
    fits = _fitting(batch, limit, need_at, devices)
    if fits is None:
        mend = f"not even a batch of {devices} fits"
    else:
        mend = f"batch_size {fits[0]} would fit ({fits[1] / _GIB:.1f} GiB)"
    raise DoesNotFit(
        f"a training step needs {need} bytes ({need / _GIB:.1f} GiB), {limit} ({limit / _GIB:.1f} GiB) are usable: "
        f"{mend}",
        need_bytes=need,
        limit_bytes=limit,
        fitting_batch=fits and fits[0],
    )


def _fitting(batch: int, limit: int, need_at: Callable[[int], int], devices: int) -> tuple[int, int] | None:
    while batch > devices:
        batch //= 2
        if batch % devices == 0 and (need := need_at(batch)) <= limit:
            return batch, need
    return None


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
def watched() -> Iterator[None]:
    """What XLA says of a program that it compiles or runs becomes OutOfMemory or DeviceFailure."""
    try:
        yield
    except (jax.errors.JaxRuntimeError, MemoryError) as error:
        reason = " ".join(str(error).split())[:400]
        if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in reason:
            raise OutOfMemory(f"memory ran out while running: {reason}") from error
        raise DeviceFailure(f"the compiled model failed while running: {reason}") from error
