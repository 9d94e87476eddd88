"""Compiled programs on disk: what one process compiled, the next one loads without even tracing it.

An entry is found by a description of everything that its program depends on, the source files of this project
included, and is renamed into place, so a killed writer leaves none. (jax's own cache needs the traced program as its
key, writes in place and never replaces a damaged entry.)

Loading a program runs it and unpickles its trees, so an entry is used only where its signature holds: an HMAC with a
secret that lies beside the programs, readable by this user alone. A search hides the whole cache from candidates; where
the machine cannot hide files it sets AIRA_JAX_PROGRAMS=0, and nothing is read or kept.
"""

import contextlib
import dataclasses
import functools
import hashlib
import hmac
import importlib.metadata
import logging
import os
import pickle
import platform
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
from jax.experimental import serialize_executable
from jax.experimental.compilation_cache import compilation_cache

from aira_jax.core.files import write_atomically
from aira_jax.proxies import sources

_LOG = logging.getLogger(__name__)
_FORMAT = "3"
VARIABLE = "AIRA_JAX_PROGRAMS"


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

    def __call__(self, jitted, *args, about: tuple, **options) -> Program:
        """`jitted` compiled for arrays like `args`, which are not used up; `options` are added to the compiler's.

        `about` holds, whole, the objects that `jitted` was made from: equal ones must mean equal programs. Shapes,
        versions, machine and source files need not be said.
        """
        options = dict(self.options) | options
        start = time.perf_counter()
        path = call = secret = None
        if self.directory is not None and os.environ.get(VARIABLE) != "0":
            secret = _secret(self.directory)
        if secret is not None:
            path = self.directory / machine() / f"{_key(args, about, options)}.xla"
            call = _load(path, args, secret)
        loaded = call is not None
        if not loaded:
            with _compiled_here() if path else contextlib.nullcontext():
                call = jitted.lower(*args).compile(compiler_options=options)
            if path:
                _store(path, call, secret)
        return Program(call, time.perf_counter() - start, loaded)


@contextlib.contextmanager
def _compiled_here() -> Iterator[None]:
    """Without jax's own cache: what it has read from there cannot be written again so that it runs."""
    used = jax.config.jax_enable_compilation_cache
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()  # it remembers whether it is used
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", used)
        compilation_cache.reset_cache()


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


def _key(args: tuple, about: tuple, options: Mapping[str, Any]) -> str:
    leaves, tree = jax.tree.flatten(args)
    shapes = [(leaf.shape, str(leaf.dtype)) for leaf in leaves]
    configured = (jax.config.jax_enable_x64, jax.config.jax_default_matmul_precision, len(jax.devices()))
    parts = (_environment(), repr(configured), repr(about), repr(sorted(options.items())), str(tree))
    return hashlib.sha256("\0".join((*parts, repr(shapes))).encode()).hexdigest()


@functools.cache
def _secret(directory: Path) -> bytes | None:
    """The key of the signatures, made at first use; None where somebody else could know it."""
    path = directory / ".secret"
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        fresh = directory / f".secret.{os.getpid()}"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.urandom(32))
        with contextlib.suppress(FileExistsError):
            os.link(fresh, path)  # of several processes one wins
        fresh.unlink()
    facts = path.stat()
    if facts.st_uid == os.geteuid() and not facts.st_mode & 0o077:
        return path.read_bytes()
    _LOG.warning("%s can be read by others: no program is read or kept; remove it to make a new one", path)
    return None


def _signature(secret: bytes, path: Path, content: bytes) -> bytes:
    return hmac.digest(secret, path.name.encode() + b"\0" + content, "sha256")


def _store(path: Path, call: jax.stages.Compiled, secret: bytes) -> None:
    content = pickle.dumps((serialize_executable.serialize(call)[0], call.out_tree))
    write_atomically(path, _signature(secret, path, content) + content)


def _load(path: Path, args: tuple, secret: bytes) -> jax.stages.Compiled | None:
    try:
        entry = path.read_bytes()
    except FileNotFoundError:
        return None
    signature, content = entry[:32], entry[32:]
    if not hmac.compare_digest(_signature(secret, path, content), signature):
        _LOG.warning("%s is damaged or signed by somebody else: removed, its program is compiled again", path)
        path.unlink(missing_ok=True)
        return None
    executable, out_tree = pickle.loads(content)
    in_tree = jax.tree.structure((args, {}))
    return serialize_executable.deserialize_and_load(executable, in_tree, out_tree, execution_devices=jax.devices()[:1])
