"""The threads of a session: they do blocking work, the coordinator hears of its end, and Ctrl-C calls it off."""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Hashable
from typing import Any

from aira_jax.core import signals
from aira_jax.core.cli import Exit
from aira_jax.search.log.events import Kind, WriteFailed
from aira_jax.search.log.journal import Cancelled, Control, Journal, StopSearch

TICK_S = 0.1
HEARTBEAT_S = 60.0
KILL_PATIENCE_S = 20.0


class Interrupts(contextlib.ExitStack):
    """The first SIGINT, SIGTERM or SIGHUP: `requested` becomes true. The second: the process ends at once."""

    def __init__(self):
        super().__init__()
        self.requested = False

    def __enter__(self) -> "Interrupts":
        self.enter_context(signals.listening(self._hear))
        return self

    def _hear(self, number: int) -> None:
        if self.requested:
            os._exit(Exit.INTERRUPTED)
        self.requested = True


class WorkerPool:
    """Runs blocking work in threads. `landed(key, result)` is called by the coordinator; an exception is a result."""

    def __init__(self, journal: Journal, control: Control, interrupts: Interrupts):
        self.journal, self.control, self.interrupts = journal, control, interrupts
        self.flying: dict[Hashable, Callable[[], bool]] = {}
        self._last_beat = time.monotonic()
        self._cancelled_at = 0.0

    def start(
        self,
        key: Hashable,
        work: Callable[[], Any],
        landed: Callable[[Hashable, Any], None],
        may_abandon: Callable[[], bool] = lambda: False,
    ) -> None:
        """Begins `work` in a thread. After `cancel`, work that `may_abandon()` (a provider's call) is not awaited."""
        self.flying[key] = may_abandon
        threading.Thread(target=self._work, args=(key, work, landed), name=f"step {key}", daemon=True).start()

    def serve(self) -> None:
        """One turn of the coordinator: runs what the threads posted, keeps the heartbeat."""
        self.journal.serve(TICK_S)
        now = time.monotonic()
        if self.flying and now - self._last_beat >= HEARTBEAT_S:
            self._last_beat = now
            self.journal.append(Kind.HEARTBEAT, in_flight=sorted(map(str, self.flying)))
        if self.control.cancelled:
            patient = now - self._cancelled_at < KILL_PATIENCE_S
            self.flying = {key: lost for key, lost in self.flying.items() if patient and not lost()}

    def cancel(self) -> None:
        """Kills all executions; threads end as soon as they notice."""
        if not self.control.cancelled:
            self._cancelled_at = time.monotonic()
            self.control.cancel()

    def run(self, jobs: dict[Hashable, Callable[[], Any]], expired: Callable[[], bool] = lambda: False) -> dict:
        """Runs all jobs to their end; returns their results by key, without those that were called off.

        Raises the first other exception. `expired()` true calls the rest off, and so does an interrupt.
        """
        results: dict[Hashable, Any] = {}
        for key, work in jobs.items():
            self.start(key, work, results.__setitem__)
        while self.flying:
            self.serve()
            if self.interrupts.requested or expired():
                self.cancel()
        for result in results.values():
            if isinstance(result, Exception) and not isinstance(result, Cancelled | StopSearch):
                raise result
        return {key: result for key, result in results.items() if not isinstance(result, Exception)}

    def _work(self, key: Hashable, work: Callable[[], Any], landed: Callable[[Hashable, Any], None]) -> None:
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - the one place where a worker's failure becomes an event
            result = error
        self.journal.post(lambda: self._land(key, result, landed))

    def _land(self, key: Hashable, result: Any, landed: Callable[[Hashable, Any], None]) -> None:
        if isinstance(result, WriteFailed):
            raise result
        if self.flying.pop(key, None) is not None:
            landed(key, result)
