"""Does the compiled step fit into memory? Asked of XLA before anything is computed.

need = arguments + outputs - aliases + temporaries of the compiled program; nothing runs.
"""

import os
from collections.abc import Callable
from pathlib import Path

import jax

from lra.failures import CandidateFault, Kind
from lra.settings import Settings

USABLE = 0.92  # of what is free
_GIB = 2**30
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


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


def refuse(need: int, limit: int, settings: Settings, need_at: Callable[[int], int], *, devices: int = 1) -> None:
    """Raises CandidateFault (oom_preflight) when `need` exceeds `limit`, with the largest halved batch that fits.

    `need_at(batch)` compiles the step for another batch, a multiple of `devices`, and returns its bytes on each.
    """
    if need <= limit:
        return
    fits = _fitting(settings.batch_size, limit, need_at, devices)
    if fits is None:
        mend = f"not even a batch of {devices} fits"
    else:
        mend = f"batch_size {fits[0]} would fit ({fits[1] / _GIB:.1f} GiB)"
    batch, heads, length = settings.batch_size, settings.num_heads, settings.max_length
    attention = batch * heads * length * length * 4
    raise CandidateFault(
        Kind.OOM_PREFLIGHT,
        f"a training step needs {need} bytes ({need / _GIB:.1f} GiB), {limit} ({limit / _GIB:.1f} GiB) are usable: "
        f"{mend}; a softmax attention matrix B*h*L*L*4 bytes = {batch}*{heads}*{length}*{length}*4 = {attention} "
        f"({attention / _GIB:.1f} GiB) per layer",
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
