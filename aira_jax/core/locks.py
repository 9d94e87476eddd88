"""Locks on files and folders: they end with the process that holds them, however it ends."""

import errno
import fcntl
import os
import time
from pathlib import Path

_UNSUPPORTED = (errno.EBADF, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class Held(OSError):
    """Another process holds the lock."""


def take(descriptor: int, *, wait: bool = False) -> None:
    """Locks the file behind `descriptor` until it is closed. Raises Held if another process has it and not `wait`.

    Some network file systems have no such locks; there nobody is kept out.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise Held(*error.args) from None
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise


def take_within(descriptor: int, seconds: float) -> None:
    """`take`, tried until `seconds` have passed."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return take(descriptor)
        except Held:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.2)


def open_folder(folder: Path) -> int:
    """A descriptor of `folder` on which `take` works; close it to let go."""
    return os.open(folder, os.O_RDONLY)
