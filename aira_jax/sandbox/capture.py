"""Keeps the beginning and the end of a program's output in bounded memory. Standard library only."""

import collections

Kept = collections.namedtuple("Kept", "head tail cut_bytes")
Kept.__doc__ = """`head` and `tail` hold whole lines when something was cut; `cut_bytes` is what lies between them."""


class Capture:
    """Takes any number of bytes; keeps the first quarter of `limit` bytes and the last three quarters."""

    def __init__(self, limit: int):
        self._head_limit = limit // 4
        self._tail_limit = limit - self._head_limit
        self._head = bytearray()
        self._tail = bytearray()
        self._total = 0

    def feed(self, data: bytes) -> None:
        self._total += len(data)
        room = self._head_limit - len(self._head)
        self._head += data[:room]
        self._tail += data[room:]
        if len(self._tail) > 2 * self._tail_limit:
            del self._tail[: -self._tail_limit]

    def kept(self) -> Kept:
        head, tail = bytes(self._head), bytes(self._tail[-self._tail_limit :] if self._tail_limit else b"")
        if len(head) + len(tail) < self._total:
            head = head[: head.rfind(b"\n") + 1] or head
            tail = tail[tail.find(b"\n") + 1 :] or tail
        cut = self._total - len(head) - len(tail)
        if not cut:
            return Kept((head + tail).decode(errors="replace"), "", 0)
        return Kept(head.decode(errors="replace"), tail.decode(errors="replace"), cut)
