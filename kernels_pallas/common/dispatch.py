"""One rule that chooses the implementation of every operator.

An explicit name runs exactly that implementation or raises. `auto` walks a fixed list for the platform and takes the
first implementation whose `supports(spec)` has no objection. The choice is logged once per operator and shape.
Interpreted Pallas runs only inside `interpret_mode()`, and only for implementations called by name.
"""

import contextlib
import contextvars
import dataclasses
import enum
import functools
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import jax

log = logging.getLogger("kernels_pallas")
TUNED_PATH = Path(__file__).parent.parent / "tuned.json"
_interpret = contextvars.ContextVar("kernels_pallas_interpret", default=False)
_portable = contextvars.ContextVar("kernels_pallas_portable", default=False)
_block_sizes = contextvars.ContextVar("kernels_pallas_block_sizes", default=None)
_chosen: dict[tuple[str, str], "Choice"] = {}


class Impl(enum.StrEnum):
    """Implementations of an operator; not every operator has all of them."""

    AUTO = "auto"
    REFERENCE = "reference"
    XLA = "xla"
    XLA_SCAN = "xla_scan"
    PALLAS_TRITON = "pallas_triton"
    PALLAS_MOSAIC_GPU = "pallas_mosaic_gpu"
    PALLAS_TPU = "pallas_tpu"

    @property
    def is_pallas(self) -> bool:
        return self.value.startswith("pallas")


@dataclasses.dataclass(frozen=True)
class Choice:
    """What runs: `blocks` are the block sizes as sorted (name, size) pairs, `reason` tells why and what was skipped."""

    impl: Impl
    chunk: int | None
    blocks: tuple[tuple[str, int], ...]
    reason: str


@dataclasses.dataclass(frozen=True)
class Op:
    """An operator as dispatch sees it.

    supports: implementation -> function of the spec that returns None, or the reason why it cannot run.
    auto: platform ("cpu", "gpu", "tpu") -> the order in which `auto` tries.
    default_chunk: function of (spec, impl, platform), for operators with chunks.
    passes: function of (spec, impl) that says why `auto` passes over what could run, unless it is measured as the
      fastest; None: it does not.
    """

    name: str
    supports: Mapping[Impl, Callable[[object], str | None]]
    auto: Mapping[str, tuple[Impl, ...]]
    default_chunk: Callable[[object, Impl, str], int] | None = None
    passes: Callable[[object, Impl], str | None] | None = None


@contextlib.contextmanager
def interpret_mode():
    """Runs Pallas implementations that are called by name in the interpreter (for tests; slow)."""
    token = _interpret.set(True)
    try:
        yield
    finally:
        _interpret.reset(token)


@contextlib.contextmanager
def portable():
    """Inside, `auto` passes over Pallas: what is traced holds operations of XLA alone, as exported programs must."""
    token = _portable.set(True)
    try:
        yield
    finally:
        _portable.reset(token)


@contextlib.contextmanager
def block_sizes(**sizes: int):
    """Block sizes for implementations called by name, not those of the tuned table; none given: the defaults."""
    token = _block_sizes.set(tuple(sorted(sizes.items())))
    try:
        yield
    finally:
        _block_sizes.reset(token)


def interpreting() -> bool:
    """Whether the caller is inside `interpret_mode()`."""
    return _interpret.get()


def platform() -> str:
    """ "cpu", "gpu" or "tpu": of the mesh set by `jax.set_mesh`, else of the default backend."""
    mesh = jax.sharding.get_abstract_mesh()
    device = None if mesh.empty else getattr(mesh, "abstract_device", None)
    name = device.platform if device is not None else jax.default_backend()
    return "gpu" if name in ("cuda", "rocm", "gpu") else name


def device_kind() -> str:
    """The device's product name, the key of the tuned table."""
    mesh = jax.sharding.get_abstract_mesh()
    device = None if mesh.empty else getattr(mesh, "abstract_device", None)
    return device.device_kind if device is not None else jax.devices()[0].device_kind


_HOME = {
    Impl.PALLAS_TRITON: ("gpu", "a CUDA GPU"),
    Impl.PALLAS_MOSAIC_GPU: ("gpu", "a Hopper GPU"),
    Impl.PALLAS_TPU: ("tpu", "a TPU"),
}


def _objection(op: Op, impl: Impl, spec, where: str) -> str | None:
    """Why `impl` cannot run `spec` on the platform `where`; None if it can."""
    if impl not in op.supports:
        return f"{op.name} has no implementation {impl.value}"
    if impl.is_pallas and not interpreting():
        home, device = _HOME[impl]
        if where != home:
            return f"{impl.value} needs {device}; interpret_mode() runs it elsewhere, in tests"
    return op.supports[impl](spec)


def usable(op: Op, spec, where: str) -> list[str]:
    """Names of the implementations that can run `spec` here."""
    return [i.value for i in op.supports if _objection(op, i, spec, where) is None]


def parse_impl(op: str, impl) -> Impl:
    """Impl from an enum member or its name."""
    try:
        return Impl(impl)
    except ValueError:
        raise ValueError(f"{op}: unknown impl {impl!r}; one of {', '.join(i.value for i in Impl)}") from None


def resolve(op: Op, spec, impl="auto", *, chunk: int | None = None) -> Choice:
    """The implementation, chunk and blocks that run `spec` on the current platform.

    Raises ValueError when a named implementation cannot run here, with the reason and the names that can.
    """
    where, wanted = platform(), parse_impl(op.name, impl)
    if wanted is not Impl.AUTO:
        objection = _objection(op, wanted, spec, where)
        if objection:
            raise ValueError(f"{op.name}: {objection}. Usable here ({where}): {', '.join(usable(op, spec, where))}")
        entry, reason = tuned_entry(op.name, spec), "named by the caller"
        return _choice(op, spec, wanted, where, chunk, entry, reason, blocks=_block_sizes.get())
    if where not in op.auto:
        raise ValueError(f"{op.name}: no default on {where}; name one of {', '.join(usable(op, spec, where))}")
    entry = tuned_entry(op.name, spec) if where != "cpu" else None
    order = ((Impl(entry["impl"]),) if entry else ()) + tuple(op.auto[where])
    skipped = []
    for candidate in order:
        objection = _objection(op, candidate, spec, where)
        if candidate.is_pallas and interpreting():
            objection = "interpret_mode() runs only what is called by name"
        if candidate.is_pallas and _portable.get():
            objection = "portable() keeps to XLA"
        tuned = entry is not None and candidate == entry["impl"]
        if objection is None and op.passes is not None and not tuned:
            objection = op.passes(spec, candidate)
        if objection is None:
            reason = f"auto on {where}" + (", tuned table" if tuned else "")
            reason += "".join(f"; skipped {name} ({why})" for name, why in skipped)
            return _choice(op, spec, candidate, where, chunk, entry, reason)
        skipped.append((candidate.value, objection))
    raise ValueError(f"{op.name}: nothing runs {spec} on {where}: " + "; ".join(f"{n}: {w}" for n, w in skipped))


def _choice(op: Op, spec, impl: Impl, where: str, chunk, entry, reason: str, blocks=None) -> Choice:
    mine = entry if entry and entry["impl"] == impl else None
    if chunk is None and op.default_chunk is not None:
        chunk = mine["chunk"] if mine and mine.get("chunk") else op.default_chunk(spec, impl, where)
    if blocks is None:
        blocks = tuple(sorted((mine or {}).get("blocks", {}).items()))
    choice = Choice(impl, chunk, blocks, reason)
    _record(op.name, str(spec), choice)
    return choice


def _record(op: str, spec: str, choice: Choice) -> None:
    if _chosen.get((op, spec)) == choice:
        return
    _chosen[op, spec] = choice
    log.info(
        "%s %s -> %s chunk=%s blocks=%s: %s", op, spec, choice.impl, choice.chunk, dict(choice.blocks), choice.reason
    )


def chosen() -> list[dict]:
    """What this process chose so far, the latest for each operator and shape, for the record of a run.

    Each row is JSON data: op, spec, impl, chunk, blocks, reason. Choices are made while a program is traced.
    """
    return [
        {"op": op, "spec": spec, **dataclasses.asdict(choice), "impl": choice.impl.value, "blocks": dict(choice.blocks)}
        for (op, spec), choice in _chosen.items()
    ]


@functools.lru_cache(maxsize=1)
def _tuned(stamp: float) -> dict:
    del stamp  # part of the key, so that an updated table is read again
    rows = json.loads(TUNED_PATH.read_text())["entries"]
    return {(r["op"], r["device_kind"], r["key"]): r for r in rows}


def tuned_entry(op: str, spec) -> dict | None:
    """The winner that scripts/bench_kernels.py recorded for this operator, device and shape, if any."""
    table = _tuned(TUNED_PATH.stat().st_mtime)
    return table.get((op, device_kind(), spec.key())) if table else None
