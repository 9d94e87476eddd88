"""Compiled programs on disk: what one process compiled, the next one loads without even tracing it.

An entry is found by a description of everything that its program depends on, the source files of this project
included. It holds the digest of its content and is renamed into place, so a killed writer leaves none and a damaged one
is found, removed and built again. (jax's own cache needs the traced program as its key, writes in place and never
replaces a damaged entry.)
"""

import contextlib
import dataclasses
import functools
import hashlib
import importlib.metadata
import logging
import os
import pickle
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
from jax.experimental import serialize_executable

from aira_jax.core.files import write_atomically
from aira_jax.proxies import sources

_LOG = logging.getLogger(__name__)
_FORMAT = "2"


@dataclasses.dataclass(frozen=True)
class Program:
    """A compiled function. `seconds` is what it took to get it; `loaded` says that it came from disk."""

    call: Any
    seconds: float
    loaded: bool


@dataclasses.dataclass(frozen=True)
class Compiler:
    """Compiles functions, or finds them in `directory` (None: nothing is read or kept).

    `options` are XLA's compiler options for every program.
    """

    directory: Path | None = None
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __call__(self, jitted, *args, depends_on: tuple, **options) -> Program:
        """`jitted` compiled for arrays like `args`, which are not used up; `options` are added to the compiler's.

        `depends_on` names all that the program depends on besides the arguments' shapes, versions and source files:
        equal values must mean equal programs.
        """
        options = dict(self.options) | options
        start = time.perf_counter()
        path = call = None
        if self.directory is not None:
            path = self.directory / machine() / f"{_key(args, depends_on, options)}.xla"
            call = _load(path, args)
        loaded = call is not None
        if not loaded:
            call = jitted.lower(*args).compile(compiler_options=options)
            if path:
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


@functools.cache
def _environment() -> str:
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("jax", "jaxlib", "flax", "optax")]
    return "\0".join([_FORMAT, *versions, os.environ.get("XLA_FLAGS", ""), sources.digest()])


def _key(args: tuple, depends_on: tuple, options: Mapping[str, Any]) -> str:
    leaves, tree = jax.tree.flatten(args)
    shapes = [(leaf.shape, str(leaf.dtype)) for leaf in leaves]
    configured = (jax.config.jax_enable_x64, jax.config.jax_default_matmul_precision, len(jax.devices()))
    parts = (_environment(), repr(configured), repr(depends_on), repr(sorted(options.items())), str(tree))
    return hashlib.sha256("\0".join((*parts, repr(shapes))).encode()).hexdigest()


def _store(path: Path, call: jax.stages.Compiled) -> None:
    content = pickle.dumps((serialize_executable.serialize(call)[0], call.out_tree))
    write_atomically(path, hashlib.sha256(content).digest() + content)


def _load(path: Path, args: tuple) -> jax.stages.Compiled | None:
    try:
        entry = path.read_bytes()
    except FileNotFoundError:
        return None
    digest, content = entry[:32], entry[32:]
    if hashlib.sha256(content).digest() != digest:
        _LOG.warning("%s is damaged: removed, its program is compiled again", path)
        path.unlink(missing_ok=True)
        return None
    executable, out_tree = pickle.loads(content)
    in_tree = jax.tree.structure((args, {}))
    return serialize_executable.deserialize_and_load(executable, in_tree, out_tree, execution_devices=jax.devices()[:1])
