"""Timing: queued repeats of a compiled call, calls in turn, and busy time of the device from a profiler trace."""

import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import jax


@dataclasses.dataclass(frozen=True)
class Timing:
    """Microseconds per call: wall clock, CPU time of the process, busy time of the device (None without a GPU)."""

    wall_us: float
    cpu_us: float
    device_us: float | None
    compile_s: float

    @property
    def dispatch_bound(self) -> bool:
        """Whether the host kept the device waiting."""
        return self.device_us is not None and self.wall_us > 1.15 * self.device_us


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


def compile_call(fn: Callable, *args):
    """jit(fn) compiled for args, and the seconds that took."""
    start = time.perf_counter()
    compiled = jax.jit(fn).lower(*args).compile()
    return compiled, time.perf_counter() - start


def measure(fn: Callable, *args, warmup: int = 10, repeats: int = 5, least_s: float = 0.2) -> Timing:
    """Medians over `repeats` of queues of calls that last at least `least_s`, with one synchronisation per queue."""
    compiled, compile_s = compile_call(fn, *args)
    wall_us, cpu_us = _queue(compiled, args, 1)
    for _ in range(min(warmup, max(1, int(2e6 / wall_us)))):
        wall_us, cpu_us = _queue(compiled, args, 1)
    # On a shared machine calls wait for a core: the queue must be long in CPU time, which is counted in coarse ticks.
    once_us = max(cpu_us, 1000.0) if jax.default_backend() == "cpu" else wall_us
    calls = max(1, round(least_s * 1e6 / once_us))
    walls, cpus = zip(*[_queue(compiled, args, calls) for _ in range(repeats)], strict=True)
    device = _device_us(compiled, args, calls) if jax.default_backend() == "gpu" else None
    return Timing(statistics.median(walls), statistics.median(cpus), device, compile_s)


def _queue(compiled, args, calls: int) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(calls):
        out = compiled(*args)
    jax.block_until_ready(out)
    return (time.perf_counter() - wall) / calls * 1e6, (time.process_time() - cpu) / calls * 1e6


def _device_us(compiled, args, calls: int) -> float | None:
    """Union of the intervals in which the device ran kernels, per call."""
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            _queue(compiled, args, calls)
        (trace,) = Path(folder).rglob("*.xplane.pb")
        data = jax.profiler.ProfileData.from_file(str(trace))
    spans = [
        (event.start_ns, event.start_ns + event.duration_ns)
        for plane in data.planes
        if plane.name.startswith("/device:")
        for line in plane.lines
        if line.name.startswith("Stream")
        for event in line.events
    ]
    return busy(spans) / calls / 1e3 if spans else None


def busy(spans: list[tuple[float, float]]) -> float:
    """Total length of the union of intervals."""
    total, end = 0.0, float("-inf")
    for start, stop in sorted(spans):
        total += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return total
