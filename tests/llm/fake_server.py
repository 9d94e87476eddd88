"""A real HTTP server on 127.0.0.1 that answers from a script, and the two providers' formats."""

import contextlib
import dataclasses
import http.server
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping


@dataclasses.dataclass(frozen=True)
class Reply:
    """One answer. `cut`: close the connection after the body, although its length was announced as longer.
    `drip_s`: pause before each chunk of a streamed body. `raw`: chunks sent in place of status, headers and body."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    cut: bool = False
    drip_s: float = 0.0
    chunks: tuple[bytes, ...] = ()
    raw: tuple[bytes, ...] = ()


@dataclasses.dataclass(frozen=True)
class Call:
    path: str
    headers: Mapping[str, str]
    body: dict


class Server:
    """`script` gives the replies in order, or a function from the call to its reply. `calls` are what arrived."""

    def __init__(self, script: list[Reply] | Callable[[Call], Reply]):
        self.calls: list[Call] = []
        self._script, self._lock = script, threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                asked = Call(self.path, {}, {})
                outer._send(self, outer._reply(asked) if callable(outer._script) else Reply(404))

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer._send(self, outer._reply(Call(self.path, headers, body)))

            def log_message(self, *args):
                pass

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def _reply(self, call: Call) -> Reply:
        with self._lock:
            self.calls.append(call)
            return self._script(call) if callable(self._script) else self._script[len(self.calls) - 1]

    @staticmethod
    def _send(handler: http.server.BaseHTTPRequestHandler, reply: Reply) -> None:
        handler.close_connection = True
        if reply.raw:
            Server._drip(handler, reply.raw, reply.drip_s)
            return
        body = b"".join(reply.chunks) or reply.body
        handler.send_response(reply.status)
        for name, value in {"content-type": "application/json", **reply.headers}.items():
            handler.send_header(name, value)
        handler.send_header("content-length", str(len(body) + 1000 * reply.cut))
        handler.send_header("connection", "close")
        handler.end_headers()
        Server._drip(handler, reply.chunks or (reply.body,), reply.drip_s)

    @staticmethod
    def _drip(handler: http.server.BaseHTTPRequestHandler, chunks: tuple[bytes, ...], drip_s: float) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for chunk in chunks:
                time.sleep(drip_s)
                handler.wfile.write(chunk)
                handler.wfile.flush()


@contextlib.contextmanager
def serve(script: list[Reply] | Callable[[Call], Reply]) -> Iterator[Server]:
    server = Server(script)
    try:
        yield server
    finally:
        server.close()


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


ANTHROPIC_USAGE = {
    "input_tokens": 1200,
    "output_tokens": 1,
    "cache_creation_input_tokens": 8500,
    "cache_read_input_tokens": 21000,
    "cache_creation": {"ephemeral_5m_input_tokens": 8000, "ephemeral_1h_input_tokens": 500},
}


def sse(*events: dict) -> tuple[bytes, ...]:
    """The events of a stream, one chunk each."""
    return tuple(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)


def anthropic_events(
    text: str, *, stop_reason: str = "end_turn", usage: dict | None = None, output_tokens: int = 3400
) -> list[dict]:
    """A whole streamed message: a thinking block, then `text` in two deltas."""
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-4-6",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": ANTHROPIC_USAGE if usage is None else usage,
    }
    half = len(text) // 2
    return [
        {"type": "message_start", "message": message},
        {"type": "ping"},
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "thinking", "thinking": "", "signature": ""},
        },
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hidden thought"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": text[:half]}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": text[half:]}},
        {"type": "content_block_stop", "index": 1},
        {
            "type": "message_delta",
            "delta": {"stop_reason": stop_reason, "stop_sequence": None},
            "usage": {"output_tokens": output_tokens},
        },
        {"type": "message_stop"},
    ]


def anthropic(text: str, **kw) -> Reply:
    headers = {"content-type": "text/event-stream", "request-id": "req_7"}
    return Reply(chunks=sse(*anthropic_events(text, **kw)), headers=headers)


def anthropic_error(status: int, kind: str, message: str, **headers: str) -> Reply:
    body = {"type": "error", "error": {"type": kind, "message": message}}
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, json.dumps(body).encode(), names)


def openai(text: str | None, *, finish: str = "stop", usage: dict | None = None, **message) -> Reply:
    body = {
        "id": "chatcmpl-1",
        "model": "served-model",
        "choices": [
            {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}
        ],
    }
    if usage is not None:
        body["usage"] = usage
    return Reply(body=json.dumps(body).encode(), headers={"x-request-id": "req_8"})


def openai_error(status: int, code: str, message: str, **headers: str) -> Reply:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, json.dumps({"error": {"code": code, "message": message}}).encode(), names)
