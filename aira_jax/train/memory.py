"""Memory of a training process: what the compiled step needs, what there is, what was used, and what runs out.

need = arguments + outputs - aliases + temporaries of the compiled program; nothing runs to find it out.
"""

import contextlib
import resource
from collections.abc import Callable, Iterator

import jax

from aira_jax.core import machine
from aira_jax.train.errors import DeviceFailure, DoesNotFit, OutOfMemory

USABLE = 0.92  # of what is free
_GIB = 2**30


def need_bytes(program: jax.stages.Compiled) -> int:
    """Bytes of device memory that one call of a compiled program needs."""
    memory = program.memory_analysis()
    kept = memory.output_size_in_bytes - memory.alias_size_in_bytes
    return int(memory.argument_size_in_bytes + kept + memory.temp_size_in_bytes)


def limit_bytes(device: jax.Device, limit: int | None = None) -> int:
    """92 % of `limit`, else of what the device has; on CPU of what is available to this process."""
    has = (device.memory_stats() or {}).get("bytes_limit")
    return int(USABLE * (limit or has or machine.available_bytes()))


def refuse(need: int, limit: int, batch: int, need_at: Callable[[int], int] | None, *, devices: int = 1) -> None:
    """Raises DoesNotFit when `need` exceeds `limit`, with the largest halved batch that fits.

    `need_at(batch)` compiles the step for another batch, a multiple of `devices`, and returns its bytes on each; None
    where it cannot be compiled anew.
    """
    if need <= limit:
        return
    fits = need_at and _fitting(batch, limit, need_at, devices)
    mend = fits and f"batch_size {fits[0]} would fit ({fits[1] / _GIB:.1f} GiB)"
    raise DoesNotFit(
        f"a training step needs {need} bytes ({need / _GIB:.1f} GiB), {limit} ({limit / _GIB:.1f} GiB) are usable: "
        f"{mend or (need_at and f'not even a batch of {devices} fits') or 'choose a smaller batch'}",
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
