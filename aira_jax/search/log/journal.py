"""The one writer of a run's log, and how worker threads reach it: append from anywhere, written by the coordinator."""

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import Any, Protocol

from aira_jax.sandbox.base import Running
from aira_jax.search.log.events import EventLog, Record, WriteFailed
from aira_jax.search.log.tree import Tree


class Observer(Protocol):
    """Sees every record after it is durable, with the tree that includes it."""

    def on_record(self, record: Record, tree: Tree) -> None: ...

    def close(self) -> None: ...


class Cancelled(Exception):
    """Work was called off: the node stays uncommitted and is taken up again by a later session."""


class StopSearch(Exception):
    """The search must end: `reason` as in the stop record, `detail` for the user."""

    def __init__(self, reason: str, detail: str):
        super().__init__(detail)
        self.reason, self.detail = reason, detail


class Journal:
    """The log with the tree that it folds to. Created and served by one thread, appended to by any.

    `append` in another thread blocks until the owner has made the record durable, and raises Cancelled once `close`d.
    """

    def __init__(self, log: EventLog, observers: Sequence[Observer] = ()):
        self.log = log
        self.tree = Tree.fold(log.records, log.blobs)
        self._observers = tuple(observers)
        self._owner = threading.get_ident()
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._closed = False
        if log.recovered is not None:
            self._tell(log.recovered)

    def append(self, kind: str, **members: Any) -> Record:
        """Writes one record and applies it to the tree; returns the record as written."""
        if threading.get_ident() == self._owner:
            return self._write(kind, members)
        future: futures.Future[Record] = futures.Future()
        self.post(lambda: self._answer(future, kind, members))
        while not future.done() and not self._closed:
            futures.wait([future], timeout=0.5)
        if not future.done():
            raise Cancelled
        return future.result()

    def post(self, task: Callable[[], None]) -> None:
        """Has the owner run `task` when it next serves."""
        self._inbox.put(task)

    def serve(self, timeout_s: float) -> None:
        """Runs what the workers posted; waits at most `timeout_s` for the first, not for more."""
        try:
            self._inbox.get(timeout=timeout_s)()
            while True:
                self._inbox.get_nowait()()
        except queue.Empty:
            return

    def close(self) -> None:
        self._closed = True

    def _write(self, kind: str, members: dict[str, Any]) -> Record:
        record = self.log.append(kind, **members)
        self.tree = self.tree.apply(record, self.log.blobs)
        self._tell(record)
        return record

    def _tell(self, record: Record) -> None:
        for observer in self._observers:
            observer.on_record(record, self.tree)

    def _answer(self, future: "futures.Future[Record]", kind: str, members: dict[str, Any]) -> None:
        try:
            future.set_result(self._write(kind, members))
        except WriteFailed as error:
            future.set_exception(error)
            raise
        except (ValueError, TypeError) as error:
            future.set_exception(error)


class Control:
    """The running programs of a session, and the switch that ends them all."""

    def __init__(self):
        self._lock = threading.Lock()
        self._running: list[Running] = []
        self._cancelled = False

    @property
    def cancelled(self) -> bool:
        return self._cancelled

    def check(self) -> None:
        """Raises Cancelled after `cancel`."""
        if self._cancelled:
            raise Cancelled

    def add(self, running: Running) -> None:
        with self._lock:
            if not self._cancelled:
                self._running.append(running)
                return
        running.kill()
        raise Cancelled

    def discard(self, running: Running) -> None:
        with self._lock:
            if running in self._running:
                self._running.remove(running)

    def cancel(self) -> None:
        """Kills every running program; nothing starts any more."""
        with self._lock:
            self._cancelled = True
            running = tuple(self._running)
        for program in running:
            program.kill()
