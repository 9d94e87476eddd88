"""Compiled programs on disk: what one process compiled, the next one loads.

An entry holds the digest of its content and is renamed into place, so a killed writer leaves none and a damaged one is
found, removed and built again. (jax's own cache writes in place and never replaces a damaged entry.)
"""

import contextlib
import dataclasses
import functools
import hashlib
import logging
import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jaxlib
from jax.experimental import serialize_executable

from aira_jax.proxies.cache import write_atomically

_FORMAT = "1"


@dataclasses.dataclass(frozen=True)
class Program:
    """A compiled function. `seconds` is what it took to get it: compiling, or loading if `loaded`."""

    call: Any
    seconds: float
    loaded: bool


def compiled(lowered: jax.stages.Lowered, directory: Path | None, options: Mapping[str, Any] | None = None) -> Program:
    """`lowered.compile(options)`, or the same program from `directory` (None: nothing is read or kept)."""
    start = time.perf_counter()
    options = dict(options or {})
    if directory is None:
        return Program(lowered.compile(compiler_options=options), time.perf_counter() - start, loaded=False)
    path = directory / machine() / f"{_key(lowered, options)}.xla"
    call = _load(path, lowered)
    loaded = call is not None
    if not loaded:
        call = lowered.compile(compiler_options=options)
        _store(path, call)
    return Program(call, time.perf_counter() - start, loaded)


@functools.cache
def machine() -> str:
    """Names the kind of machine that a program was compiled for: backend, and device kind or CPU features."""
    device = jax.devices()[0]
    kind = device.device_kind
    if device.platform == "cpu":
        with contextlib.suppress(FileNotFoundError):
            lines = Path("/proc/cpuinfo").read_text().splitlines()
            kind = "\n".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
    return f"{device.platform}-{platform.machine()}-{hashlib.sha256(kind.encode()).hexdigest()[:12]}"


def _key(lowered: jax.stages.Lowered, options: Mapping[str, Any]) -> str:
    versions = (_FORMAT, jax.__version__, jaxlib.__version__, os.environ.get("XLA_FLAGS", ""), str(len(jax.devices())))
    parts = (*versions, repr(sorted(options.items())), lowered.as_text())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _store(path: Path, call: jax.stages.Compiled) -> None:
    serialized, _, _ = serialize_executable.serialize(call)
    write_atomically(path, hashlib.sha256(serialized).digest() + serialized)


def _load(path: Path, lowered: jax.stages.Lowered) -> jax.stages.Compiled | None:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    digest, serialized = content[:32], content[32:]
    if hashlib.sha256(serialized).digest() != digest:
        logging.warning("%s is damaged: removed, its program is compiled again", path)
        path.unlink(missing_ok=True)
        return None
    return serialize_executable.deserialize_and_load(serialized, lowered.in_tree, lowered.out_tree)
