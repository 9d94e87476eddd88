"""The event log of a run: canonical JSON lines with checksums, written by one process, repaired after a crash.

A run directory holds `events.jsonl` (the truth), `blobs/<sha256>` (large texts named by records) and `run.lock`.
Every record carries `v` (schema), `seq` (0, 1, 2, ... without gaps), `t` (Unix seconds), `mono` (seconds since the
session began), `kind` and `crc` (CRC-32 of the canonical bytes without `crc`).
"""

import contextlib
import dataclasses
import enum
import hashlib
import json
import os
import re
import shutil
import socket
import time
import urllib.parse
import uuid
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aira_jax.core import locks
from aira_jax.core.text import LEAST_SECRET_CHARS, SECRET_NAME, secret_forms, without

SCHEMA = 1
BLOB_BYTES = 64 * 1024
Record = dict[str, Any]

_SURROGATE = re.compile("[\ud800-\udfff]")


class Kind(enum.StrEnum):
    """What happened. Readers ignore kinds that they do not know."""

    RUN_START = "run_start"
    SESSION_START = "session_start"
    RECOVERED = "recovered"
    ACTION = "action"
    LLM_REQUEST = "llm_request"
    LLM_RESULT = "llm_result"
    CANDIDATE = "candidate"
    EXEC_START = "exec_start"
    EXEC_END = "exec_end"
    ANALYSIS = "analysis"
    NODE = "node"
    TEST_RESULT = "test_result"
    BUDGET = "budget"
    SUBMIT = "submit"
    STOP = "stop"
    HEARTBEAT = "heartbeat"
    WARNING = "warning"
    SESSION_END = "session_end"


class DamagedLog(ValueError):
    """A log that cannot be trusted from some line on; nothing was changed. Scripts end with exit code 4."""


class RunInUse(ValueError):
    """Another process writes this run directory."""


class WriteFailed(ValueError):
    """The disk refused a record or a blob; what lies on disk is a valid, resumable log."""

    def __init__(self, path: Path, error: OSError):
        super().__init__(
            f"cannot write {path}: errno {error.errno} ({error.strerror})\n"
            "    make room or mend the permission, then run the same command again: the run continues"
        )


def canonical(value: Any) -> bytes:
    """The one byte form of a JSON value: sorted keys, no spaces, UTF-8, lone surrogates as U+FFFD, no NaN."""
    text = _dumps(value)
    if _SURROGATE.search(text):
        text = _dumps(json.loads(_SURROGATE.sub("\ufffd", text)))
    return text.encode()


def encode(record: Mapping[str, Any]) -> bytes:
    """One line of the log, checksum and newline included."""
    body = canonical(record)
    return canonical({**json.loads(body), "crc": f"{zlib.crc32(body):08x}"}) + b"\n"


def decode(line: bytes) -> Record:
    """The record of one line (without its newline), `crc` removed. Raises ValueError saying what is wrong."""
    try:
        return _checked(json.loads(line.decode()))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _checked(record: Any) -> Record:
    if not isinstance(record, dict):
        raise ValueError("not a JSON object")
    crc = record.pop("crc", None)
    if crc != f"{zlib.crc32(canonical(record)):08x}":
        raise ValueError("checksum does not match")
    if record.get("v", 0) > SCHEMA:
        raise DamagedLog(f"record version {record['v']} is newer than {SCHEMA}; update aira_jax to read this log")
    return record


def _dumps(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


@dataclasses.dataclass(frozen=True)
class Scan:
    """What lies in a log file: its records, where the good bytes end, and what follows them (a torn last line)."""

    records: tuple[Record, ...]
    good_bytes: int
    torn: bytes


def scan(path: Path) -> Scan:
    """Reads a log. A torn last line is reported in `torn`; damage anywhere else raises DamagedLog."""
    data = path.read_bytes() if path.exists() else b""
    records: list[Record] = []
    offset = 0
    while offset < len(data):
        end = data.find(b"\n", offset)
        line, after = (data[offset:], len(data)) if end < 0 else (data[offset:end], end + 1)
        try:
            if end < 0:
                raise ValueError("no newline at its end")
            record = decode(line)
        except DamagedLog:
            raise
        except ValueError as error:
            if after == len(data):
                break
            raise _damage(path, len(records), f"{error}") from None
        if record.get("seq") != len(records):
            raise _damage(path, len(records), f"seq is {record.get('seq')}, {len(records)} expected")
        records.append(record)
        offset = after
    return Scan(tuple(records), offset, data[offset:])


def read(path: str | os.PathLike) -> tuple[Record, ...]:
    """The records of a log (a file, or the run directory that holds it), for readers: changes nothing on disk."""
    path = Path(path)
    file = path / "events.jsonl" if path.is_dir() else path
    if not file.exists():
        raise ValueError(f"{file} does not exist; name a run directory W/<task>/<agent>/seed_<k>")
    return scan(file).records


def _damage(path: Path, index: int, what: str) -> DamagedLog:
    return DamagedLog(
        f"{path} line {index + 1} (seq {index}) is damaged: {what}\n"
        f"    nothing was changed; --truncate_at_seq={index} starts a branch copy with what lies before it"
    )


class Blobs:
    """Texts by their SHA-256. A blob is durable before `put` returns."""

    def __init__(self, folder: Path, *, fsync: bool = True):
        self.folder, self._fsync = folder, fsync

    def put(self, text: str) -> str:
        data = _SURROGATE.sub("\ufffd", text).encode()
        sha = hashlib.sha256(data).hexdigest()
        target = self.folder / sha
        if not target.exists():
            self._write(target, data)
        return sha

    def get(self, sha: str) -> str:
        """The text. Raises DamagedLog when it is missing or not the one that was stored."""
        path = self.folder / sha
        data = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(data).hexdigest() != sha:
            raise DamagedLog(
                f"{path} {'is damaged' if path.is_file() else 'is missing'}\n"
                "    restore the file, or continue a branch that does without it: --truncate_at_seq=<its record's seq>"
            )
        return data.decode()

    def _write(self, target: Path, data: bytes) -> None:
        try:
            self.folder.mkdir(exist_ok=True)
            temporary = self.folder / f".{uuid.uuid4().hex}"
            try:
                with temporary.open("xb") as file:
                    file.write(data)
                    file.flush()
                    if self._fsync:
                        os.fsync(file.fileno())
                os.replace(temporary, target)
            except OSError:
                with contextlib.suppress(OSError):
                    temporary.unlink()
                raise
            if self._fsync:
                _sync_folder(self.folder)
        except OSError as error:
            raise WriteFailed(target, error) from error


def named_blobs(record: Any) -> Iterable[str]:
    """The blobs that a record names: `prompt_sha`, `output_blob` and `{"blob": sha}` in place of a text."""
    if isinstance(record, Mapping):
        for key, value in record.items():
            if key in ("prompt_sha", "output_blob", "blob") and isinstance(value, str):
                yield value
            else:
                yield from named_blobs(value)
    elif isinstance(record, list):
        for item in record:
            yield from named_blobs(item)


class EventLog:
    """The only writer of a run directory. Open it, read `.records`, append; `.recovered` tells of a repaired tail.

    Raises RunInUse when another process holds the directory, DamagedLog when the log cannot be repaired.
    """

    def __init__(self, run_dir: str | os.PathLike, *, fsync: bool = True):
        self.run_dir = Path(run_dir)
        self.path = self.run_dir / "events.jsonl"
        self.blobs = Blobs(self.run_dir / "blobs", fsync=fsync)
        self._fsync = fsync
        self._start = time.monotonic()
        self._secrets = _secrets(os.environ)
        self._descriptor: int | None = None
        self._lock = _acquire(self.run_dir)
        try:
            found = scan(self.path)
            self._check_blobs(found.records)
            self.records: list[Record] = list(found.records)
            self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            self.recovered = self._repair(found) if found.torn else None
        except OSError as error:
            self.close()
            raise WriteFailed(self.path, error) from error
        except ValueError:
            self.close()
            raise

    def append(self, kind: str, **members: Any) -> Record:
        """Writes one record durably and returns it as a reader will see it."""
        now = {"t": round(time.time(), 3), "mono": round(time.monotonic() - self._start, 3)}
        record = self._redact({**members, **now, "v": SCHEMA, "seq": len(self.records), "kind": str(kind)})
        line = encode(record)
        self._write(line)
        record = decode(line[:-1])
        self.records.append(record)
        return record

    def store(self, text: str) -> str | dict[str, str]:
        """`text` itself, or a reference to a blob when it is long: what a record should hold."""
        return {"blob": self.put(text)} if len(text.encode("utf-8", "replace")) > BLOB_BYTES else text

    def put(self, text: str) -> str:
        """Stores `text` as a blob (secrets removed) and returns its SHA-256."""
        return self.blobs.put(self._clean(text))

    def restart_clock(self) -> None:
        """Starts a new session's `mono` at zero."""
        self._start = time.monotonic()

    @property
    def mono(self) -> float:
        return time.monotonic() - self._start

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _write(self, line: bytes) -> None:
        before = os.fstat(self._descriptor).st_size
        try:
            written = os.write(self._descriptor, line)
            if written != len(line):
                os.ftruncate(self._descriptor, before)
                raise OSError(28, f"only {written} of {len(line)} bytes were written")
            if self._fsync:
                os.fsync(self._descriptor)
        except OSError as error:
            raise WriteFailed(self.path, error) from error

    def _repair(self, found: Scan) -> Record:
        torn = self.run_dir / f"torn-{found.good_bytes}.bin"
        torn.write_bytes(found.torn)
        os.ftruncate(self._descriptor, found.good_bytes)
        digest = hashlib.sha256(found.torn).hexdigest()
        return self.append(Kind.RECOVERED, dropped_bytes=len(found.torn), sha256=digest, file=torn.name)

    def _check_blobs(self, records: Iterable[Record]) -> None:
        present = set(os.listdir(self.blobs.folder)) if self.blobs.folder.is_dir() else set()
        for record in records:
            for sha in named_blobs(record):
                if sha not in present:
                    raise _damage(self.path, record["seq"], f"its blob {self.blobs.folder / sha} is missing")

    def _clean(self, text: str) -> str:
        for name, forms in self._secrets:
            text = without(text, forms, f"[{name} removed]")
        return text

    def _redact(self, value: Any) -> Any:
        if not self._secrets:
            return value
        if isinstance(value, str):
            return self._clean(value)
        if isinstance(value, Mapping):
            return {key: self._redact(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._redact(item) for item in value]
        return value


def branch(run_dir: str | os.PathLike, seq: int) -> Path:
    """The sibling `<run_dir>.branch-<seq>`: a copy of the records before `seq` and the blobs they name.

    A branch that exists already is returned as it is. Raises ValueError when the log has fewer good records than `seq`.
    """
    run_dir = Path(run_dir)
    target = run_dir.with_name(f"{run_dir.name}.branch-{seq}")
    if target.exists():
        return target
    source = run_dir / "events.jsonl"
    lines = source.read_bytes().split(b"\n")[:seq] if source.exists() else []
    if seq < 1 or len(lines) < seq:
        raise ValueError(f"{source} has {len(lines)} lines; --truncate_at_seq must lie between 1 and that number")
    target.mkdir()
    kept = target / "events.jsonl"
    kept.write_bytes(b"".join(line + b"\n" for line in lines))
    try:
        records = scan(kept).records
        if len(records) < seq:
            raise _damage(source, len(records), "checksum does not match")
        _copy_blobs(run_dir / "blobs", target / "blobs", records)
    except (DamagedLog, OSError) as error:
        shutil.rmtree(target)
        raise DamagedLog(f"{error}\n    choose a smaller --truncate_at_seq") from error
    return target


def _copy_blobs(source: Path, target: Path, records: Iterable[Record]) -> None:
    target.mkdir()
    for sha in {sha for record in records for sha in named_blobs(record)}:
        shutil.copy2(source / sha, target / sha)


def _acquire(run_dir: Path) -> int:
    path = run_dir / "run.lock"
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise WriteFailed(path, error) from error
    try:
        locks.take(descriptor)
    except locks.Held:
        holder = os.pread(descriptor, 4096, 0).decode("utf-8", "replace").split()
        os.close(descriptor)
        pid, host = holder if len(holder) == 2 else ("unknown", "unknown")
        raise RunInUse(f"run directory in use by pid {pid} on host {host}: {run_dir}") from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()} {socket.gethostname()}\n".encode(), 0)
    return descriptor


def _secrets(environment: Mapping[str, str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """(name, written forms) of what looks like a secret: by its name, or as the password of an address."""
    found = {name: value for name, value in environment.items() if SECRET_NAME.search(name)}
    found |= {name: word for name, value in environment.items() if (word := _password(value))}
    kept = [(name, value) for name, value in found.items() if len(value) >= LEAST_SECRET_CHARS]
    return tuple((name, secret_forms(value)) for name, value in sorted(kept, key=lambda item: -len(item[1])))


def _password(address: str) -> str:
    try:
        return urllib.parse.unquote(urllib.parse.urlsplit(address).password or "")
    except ValueError:
        return ""


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
