"""Programs as files: written by code that nobody trusts, read as data from an enemy."""

import enum
import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import jax.export

from aira_jax.core import files
from aira_jax.programs import dependence, policy
from aira_jax.programs.dependence import Dependence

LARGEST_BYTES = 2**28  # constants included
Array = jax.Array
Shapes = Sequence[jax.ShapeDtypeStruct]


class Reason(enum.StrEnum):
    """Why a program is refused."""

    ABSENT = "absent"
    UNREADABLE = "unreadable"
    IMPURE = "impure"  # a host callback, a foreign custom call, an operation with an effect
    SHAPES = "shapes"
    PLATFORM = "platform"
    SIZE = "size"
    MEMORY = "memory"  # an argument that a result must not read, as its text shows
    NONLINEAR = "nonlinear"


class ProgramError(Exception):
    """A program that cannot be written or is not believed."""

    def __init__(self, reason: Reason, name: str, message: str):
        super().__init__(f"program {name}: {message}")
        self.reason, self.name = reason, name


def save(folder: Path, name: str, function: Callable[..., Sequence[Array]], inputs: Shapes) -> list[jax.Array]:
    """Exports function(*arrays) -> tuple of arrays for these inputs; returns the shapes of its results.

    Errors of tracing pass. Raises: ProgramError for a host callback, for custom calls that no export may hold, for more
    than LARGEST_BYTES.
    """
    jitted = jax.jit(function)
    jitted.trace(*inputs)
    try:
        lowered = jax.export.export(jitted)(*inputs)
        content = bytes(lowered.serialize())
    except (NotImplementedError, ValueError) as error:
        raise ProgramError(Reason.IMPURE, name, f"{' '.join(str(error).split())[:300]}") from error
    for violation in policy.violations(lowered.mlir_module_serialized):
        raise ProgramError(Reason.IMPURE, name, f"it holds {violation}")
    if len(content) > LARGEST_BYTES:
        raise ProgramError(
            Reason.SIZE, name, f"it has {len(content)} bytes, constants included; {LARGEST_BYTES} may be"
        )
    files.write_atomically(_path(folder, name), content, durable=False)
    return list(lowered.out_avals)


def load(folder: Path, name: str, inputs: Shapes, outputs: Shapes | None = None) -> "Program":
    """The program as a function of arrays. Raises: ProgramError for all but what `save` writes for these shapes.

    `outputs` None: whatever it returns; the caller compares `Program.outputs`.
    """
    content = read(_path(folder, name), name)
    try:
        exported = jax.export.deserialize(bytearray(content))
        facts = (exported.in_avals, exported.out_avals, exported.in_tree, exported.out_tree)
        effects = (*exported.ordered_effects, *exported.unordered_effects)
        platforms, devices, portable = exported.platforms, exported.nr_devices, exported.mlir_module_serialized
    except Exception as error:
        text = f"no exported program ({type(error).__name__}: {' '.join(str(error).split())[:200]})"
        raise ProgramError(Reason.UNREADABLE, name, text) from error
    try:
        refused = [*policy.violations(portable), *(f"the effect {effect}" for effect in effects)]
    except ValueError as error:
        raise ProgramError(Reason.UNREADABLE, name, str(error)) from error
    if refused:
        raise ProgramError(Reason.IMPURE, name, f"it holds {', '.join(refused[:5])}")
    if jax.default_backend() not in _backends(platforms) or devices != 1:
        here = jax.default_backend()
        raise ProgramError(Reason.PLATFORM, name, f"made for {devices} device(s) of {platforms}, not for one of {here}")
    in_avals, out_avals, in_tree, out_tree = facts
    if not all(type(length) is int for aval in (*in_avals, *out_avals) for length in aval.shape):
        raise ProgramError(Reason.SHAPES, name, "its shapes must be numbers")
    compare(name, "arguments", in_avals, inputs)
    if outputs is not None:
        compare(name, "results", out_avals, outputs)
    if in_tree != jax.tree.structure((tuple(in_avals), {})) or out_tree != jax.tree.structure(tuple(out_avals)):
        raise ProgramError(Reason.SHAPES, name, "its arguments and results must be flat")
    return Program(exported, name)


class Program:
    """A pure function of arrays, usable inside jit; `inputs` and `outputs` are the shapes of arguments and results."""

    def __init__(self, exported: jax.export.Exported, name: str):
        self._exported, self._name = exported, name
        avals = exported.in_avals, exported.out_avals
        self.inputs, self.outputs = (tuple(map(_shape, part)) for part in avals)

    def dependence(self, arguments: Sequence[Dependence]) -> tuple[Dependence, ...]:
        """That of each result, proved. Raises: ProgramError where nobody can say."""
        kept = sorted(set(self._exported.module_kept_var_idx))
        try:
            return dependence.of(self._exported.mlir_module_serialized, [arguments[number] for number in kept])
        except (ValueError, KeyError, IndexError, RecursionError) as error:
            raise ProgramError(Reason.UNREADABLE, self._name, f"its text cannot be followed: {error}") from error

    def __call__(self, *arrays: Array) -> tuple[Array, ...]:
        return self._exported.call(*arrays)


def _shape(aval: jax.core.ShapedArray) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(aval.shape, aval.dtype)


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}.program"


def read(path: Path, name: str, largest: int = LARGEST_BYTES) -> bytes:
    """The bytes of a regular file of at most `largest`; a link is none. Raises: ProgramError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_size > largest:
                raise ProgramError(Reason.UNREADABLE, name, f"{path.name} is no file of at most {largest} bytes")
            return file.read(largest)
    except OSError as error:
        raise ProgramError(Reason.ABSENT, name, f"{path.name} was not written ({error.strerror})") from error


def compare(name: str, what: str, found: Sequence, expected: Shapes) -> None:
    """Raises ProgramError unless shapes and dtypes are those expected."""
    a = [(tuple(aval.shape), str(aval.dtype)) for aval in found]
    b = [(tuple(shape.shape), str(shape.dtype)) for shape in expected]
    if a != b:
        different = next((pair for pair in zip(a, b, strict=False) if pair[0] != pair[1]), (len(a), len(b)))
        raise ProgramError(Reason.SHAPES, name, f"its {what} are not those expected: {different[0]}, {different[1]}")


def _backends(platforms: Sequence[str]) -> set[str]:
    return {"gpu" if platform in ("cuda", "rocm") else platform for platform in platforms}
