"""Updates, and what happens between them: hooks on metrics and on the state, limits, signals."""

import contextlib
import dataclasses
import enum
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from aira_jax.core import signals
from aira_jax.train.clock import Clock
from aira_jax.train.errors import Interrupted, NotFinite

Metrics = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Every:
    """Due after each multiple of `interval` or one of `also`, after the last update, and after update 1 if `first`."""

    interval: int
    also: tuple[int, ...] = ()
    first: bool = False

    def __call__(self, step: int, total: int) -> bool:
        multiple = any(step % interval == 0 for interval in (self.interval, *self.also))
        return multiple or step == total or (self.first and step == 1)


@dataclasses.dataclass
class Hook:
    """`call(step, metrics)` or `call(step, state)` when due(step, total); a state that it returns replaces the other.

    `on_signal`: also called when a signal ends the run, for what must be saved.
    """

    call: Callable[[int, Any], Any]
    due: Callable[[int, int], bool]
    on_signal: bool = False

    def close(self) -> None:
        """The loop ends, in whatever way."""


class Profile(Hook):
    """Writes a profiler trace of the updates `start` + 1 to `start` + `count` below `folder`.

    `start` is at least 1: the first update of a process is not like the others.
    """

    def __init__(self, folder: Path, start: int, count: int):
        if start < 1 or count < 1:
            raise ValueError(f"a profile starts after update 1 or later and spans at least one, not {start}, {count}")
        super().__init__(self._mark, lambda step, total: step in (start, start + count))
        self.folder, self.start, self.running = folder, start, False

    def _mark(self, step: int, state: Any) -> None:
        jax.block_until_ready(state)
        if step == self.start:
            jax.profiler.start_trace(str(self.folder))
            self.running = True
        else:
            self.close()

    def close(self) -> None:
        if self.running:
            jax.profiler.stop_trace()
            self.running = False


class Transfers(enum.StrEnum):
    """Whether an update may move arrays between host and devices unasked."""

    ALLOW = "allow"
    LOG = "log"
    DISALLOW = "disallow"


class Loop:
    """One run's updates. Metrics are fetched one update late, so that the devices never wait for the host.

    `update(state, batch)` is the compiled step, `batch_at(t)` the placed batch of update t from 0. State hooks run in
    their order, once the metrics of their update are judged, and their time is left out of the pace. A run of several
    processes asks `told_to_stop(step)`, which answers all of them alike, instead of listening to signals itself.
    """

    def __init__(
        self,
        update: Callable[[Any, Any], tuple[Any, Metrics]],
        batch_at: Callable[[int], Any],
        clock: Clock,
        *,
        on_metrics: Sequence[Hook] = (),
        on_state: Sequence[Hook] = (),
        transfers: Transfers = Transfers.ALLOW,
        told_to_stop: Callable[[int], bool] | None = None,
    ):
        self.update, self.batch_at, self.clock = update, batch_at, clock
        self.on_metrics, self.on_state, self.transfers = on_metrics, on_state, transfers
        self.told_to_stop = told_to_stop
        self._last_loss: float | None = None
        self._signal: int | None = None
        self._late: tuple[int, Metrics] | None = None

    def run(self, state: Any) -> Any:
        """The state after the last update. Raises: NotFinite, TimeLimit, Interrupted."""
        with contextlib.ExitStack() as ending:
            if self.told_to_stop is None:
                ending.enter_context(signals.listening(self._hear))
            for hook in (*self.on_metrics, *self.on_state):
                ending.callback(hook.close)
            self.clock.go()
            for update in range(self.clock.first, self.clock.total):
                batch = self.batch_at(update)
                with jax.transfer_guard(self.transfers.value):
                    state, metrics = self.update(state, batch)
                self._settle()
                self._late = (update + 1, metrics)
                if self.told_to_stop is not None and self.told_to_stop(update + 1):
                    self._hear(signal.SIGTERM)
                if self._signal is not None or any(hook.due(update + 1, self.clock.total) for hook in self.on_state):
                    state = self._between(update + 1, state)
        return state

    def _between(self, step: int, state: Any) -> Any:
        self._settle()
        self.clock.pause()
        due = [hook for hook in self.on_state if hook.due(step, self.clock.total)]
        for hook in due:
            state = _called(hook, step, state)
        if (number := self._signal) is not None and step < self.clock.total:
            for hook in self.on_state:
                if hook.on_signal and hook not in due:
                    state = _called(hook, step, state)
            raise Interrupted(step, number)
        self.clock.go()
        return state

    def _settle(self) -> None:
        """Fetches the metrics of the update before, and judges them."""
        if self._late is None:
            return
        (step, values), self._late = self._late, None
        values = jax.device_get(values)
        if not values.pop("finite"):
            raise self._not_finite(step, values)
        self._last_loss = float(values["loss"])
        self.clock.done = step
        for hook in self.on_metrics:
            if hook.due(step, self.clock.total):
                hook.call(step, values)
        self.clock.check()

    def _not_finite(self, step: int, values: Metrics) -> NotFinite:
        loss, norm, rate = (float(values[key]) for key in ("loss", "grad_norm", "lr"))
        last = "none before" if self._last_loss is None else f"last finite loss {self._last_loss:.4g}"
        text = f"update {step}: loss {loss:g}, gradient norm {norm:g} ({last}, learning rate {rate:.3g})"
        return NotFinite(text, update=step, last_finite_loss=self._last_loss, learning_rate=rate)

    def _hear(self, number: int) -> None:
        self._signal = number


def _called(hook: Hook, step: int, state: Any) -> Any:
    changed = hook.call(step, state)
    return state if changed is None else changed
