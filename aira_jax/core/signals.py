"""SIGTERM, SIGINT and SIGHUP (the terminal is gone) as requests: whoever listens finishes what must not be torn."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

ENDINGS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@contextlib.contextmanager
def listening(hear: Callable[[int], None], numbers: tuple[int, ...] = ENDINGS) -> Iterator[None]:
    """`numbers` reach `hear` instead of ending the process (in the main thread, where they arrive)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [number for number in numbers if not (number == signal.SIGHUP and _ignored(number))]
    before = [signal.signal(number, lambda got, frame: hear(got)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _ignored(number: int) -> bool:
    """Whether somebody asked for that, as nohup does."""
    return signal.getsignal(number) is signal.SIG_IGN
