"""Seconds of a call: wall, and of all threads of this process."""

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import jax


@dataclasses.dataclass(frozen=True)
class Seconds:
    """Per call. `cpu` sums over the threads of the process."""

    wall: float
    cpu: float


def timed(call: Callable[[], object]) -> Seconds:
    """One call; what it returns is waited for."""
    wall, cpu = time.perf_counter(), time.process_time()
    jax.block_until_ready(call())
    return Seconds(time.perf_counter() - wall, time.process_time() - cpu)


def interleaved(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[Seconds]]:
    """`rounds` times every call in turn, after one that is not counted, so that all see the same machine."""
    for call in calls.values():
        jax.block_until_ready(call())
    found: dict[str, list[Seconds]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            found[name].append(timed(call))
    return found


def median(values: Sequence[Seconds]) -> Seconds:
    return Seconds(statistics.median(v.wall for v in values), statistics.median(v.cpu for v in values))
