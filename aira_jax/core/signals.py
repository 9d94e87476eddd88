"""SIGTERM and SIGINT as requests: whoever listens finishes what must not be torn."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

ENDINGS = (signal.SIGTERM, signal.SIGINT)


@contextlib.contextmanager
def listening(hear: Callable[[int], None], numbers: tuple[int, ...] = ENDINGS) -> Iterator[None]:
    """`numbers` reach `hear` instead of ending the process (in the main thread, where they arrive)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = [signal.signal(number, lambda got, frame: hear(got)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
