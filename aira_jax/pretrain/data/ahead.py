"""Batches made while the device computes."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Batch = TypeVar("Batch")


class Ahead(Generic[Batch]):
    """Calls `make(step)` in a thread, up to `depth` steps before the one that is asked for, never `end` or beyond.

    An exception of `make` is raised where its step is asked for. `waited_s` adds up how long answers were waited for.
    """

    def __init__(self, make: Callable[[int], Batch], depth: int, end: int):
        self.waited_s = 0.0
        self._make, self._depth, self._end = make, depth, end
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._coming: dict[int, Future[Batch]] = {}

    def __call__(self, step: int) -> Batch:
        for later in range(step, max(step + 1, min(step + self._depth + 1, self._end))):
            if later not in self._coming:
                self._coming[later] = self._pool.submit(self._make, later)
        begun = time.monotonic()
        batch = self._coming.pop(step).result()
        self.waited_s += time.monotonic() - begun
        return batch

    def close(self) -> None:
        """Stops the thread; steps that nobody asked for are dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> "Ahead[Batch]":
        return self

    def __exit__(self, *raised) -> None:
        self.close()
