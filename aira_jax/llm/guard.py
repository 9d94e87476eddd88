"""An HTTP client for answers of strangers: bounded in time and size, without redirects, silent about what it does."""

import functools
import logging
import socket
import threading
import zlib
from collections.abc import Iterator
from typing import Any

MAX_BYTES = 64 * 2**20
PIECE_BYTES = 2**20
_OPENED = ("connect_tcp.complete", "connect_unix_socket.complete", "start_tls.complete")
_PLAIN, _ZIPPED = ("", "identity"), ("gzip", "deflate")


@functools.cache
def client_class(base: type, library: Any) -> type:
    """A subclass of the client `base` of an httpx-like `library`.

    The read timeout of a request is its deadline: when it has passed, the connection is shut, whatever drips in, and
    ReadTimeout is raised. A body above MAX_BYTES, before or after decompression, is a DecodingError. Each call has a
    connection of its own.
    """
    for name in (library.__name__, f"{library.__name__}._client", "httpcore", "anthropic"):
        logging.getLogger(name).setLevel(logging.WARNING)

    class Stream(library.SyncByteStream):
        """The body, decompressed, watched to its end."""

        def __init__(self, inner, coding: str, watch: _Watch, request):
            self._inner, self._coding, self._watch, self._request = inner, coding, watch, request

        def __iter__(self) -> Iterator[bytes]:
            total = 0
            try:
                for piece in _decoded(self._inner, self._coding):
                    total += len(piece)
                    if total > MAX_BYTES:
                        raise library.DecodingError(f"the answer is larger than {MAX_BYTES} bytes")
                    yield piece
            except zlib.error as error:
                raise library.DecodingError(str(error), request=self._request) from None
            except library.HTTPError:
                self._late()
                raise
            self._late()

        def _late(self) -> None:
            if self._watch.fired:
                raise library.ReadTimeout("the answer did not end in time", request=self._request)

        def close(self) -> None:
            self._watch.cancel()
            self._inner.close()

    class Guarded(base):
        def send(self, request, *, stream: bool = False, **options):
            """As the base class, within the deadline and without redirects."""
            options["follow_redirects"] = False
            request.headers["accept-encoding"] = "identity"
            request.headers["connection"] = "close"
            watch = _Watch(request.extensions.get("timeout", {}).get("read"))
            request.extensions = {**request.extensions, "trace": watch.trace}
            try:
                response = super().send(request, stream=True, **options)
                coding = response.headers.pop("content-encoding", "").strip().lower()
                if coding not in (*_PLAIN, *_ZIPPED):
                    response.close()
                    raise library.DecodingError(f"content-encoding {coding[:40]!r} was not asked for", request=request)
            except library.HTTPError:
                watch.cancel()
                if watch.fired:
                    raise library.ReadTimeout("no answer in time", request=request) from None
                raise
            except BaseException:
                watch.cancel()
                raise
            response.stream = Stream(response.stream, coding, watch, request)
            if not stream:
                response.read()
            return response

    return Guarded


class _Watch:
    """Shuts the sockets of one call after `seconds`."""

    def __init__(self, seconds: float | None):
        self.fired, self._sockets, self._lock = False, [], threading.Lock()
        self._timer = threading.Timer(seconds or 0.0, self._fire)
        self._timer.daemon = True
        if seconds is not None:
            self._timer.start()

    def trace(self, event: str, info: dict[str, Any]) -> None:
        """Told of every step of the call; a connection that opens is remembered."""
        if event.endswith(_OPENED):
            opened = info["return_value"].get_extra_info("socket")
            with self._lock:
                self._sockets.append(opened)
                if self.fired:
                    _shut(opened)

    def cancel(self) -> None:
        self._timer.cancel()

    def _fire(self) -> None:
        with self._lock:
            self.fired = True
            for opened in self._sockets:
                _shut(opened)


def _shut(opened: socket.socket | None) -> None:
    """Ends reads and writes that are in progress in other threads."""
    if opened is not None:
        try:
            socket.socket.shutdown(opened, socket.SHUT_RDWR)
        except OSError:
            return  # closed already


def _decoded(stream, coding: str) -> Iterator[bytes]:
    """The body of a stream, in pieces of at most PIECE_BYTES where it was compressed."""
    if coding in _PLAIN:
        yield from stream
        return
    unzip = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or zlib, by its header
    for raw in stream:
        while raw and not unzip.eof:
            yield unzip.decompress(raw, PIECE_BYTES)
            raw = unzip.unconsumed_tail
    yield unzip.flush()
