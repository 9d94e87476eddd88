"""What a program may hold: pure operations of StableHLO, and custom calls of known routines.

A custom call names code of the process that runs it. Allowed are, name by name, the numeric routines behind jax.numpy,
jax.lax and jax.random. Kernels written by hand (Triton, Mosaic) are code, may reach any memory of the device, and are
none of them: a model that has such a kernel falls back on XLA.
"""

import contextlib
import itertools
from collections.abc import Iterator

from jax.extend.mlir import ir
from jax.extend.mlir.dialects import chlo, sdy, stablehlo

DIALECTS = frozenset({"builtin", "func", "stablehlo", "chlo", "sdy"})
IMPURE = frozenset(f"stablehlo.{name}" for name in ("infeed", "outfeed", "send", "recv", "rng", "create_token"))
MOST_OPERATIONS = 200_000  # a model of a hundred unrolled layers has about 50,000
_LAPACK = ("geqrf", "gesdd", "getrf", "gtsv", "gees", "geev", "gehrd", "potrf", "trsm")
_REAL, _COMPLEX = ("orgqr", "syevd", "sytrd"), ("ungqr", "heevd", "hetrd")
_SOLVER = ("geqrf", "orgqr", "potrf", "syevd", "sytrd", "gesvd", "gesvdj", "gesdd", "getrf")
ROUTINES = frozenset(
    (
        *(f"lapack_{kind}{name}_ffi" for kind, name in itertools.product("sd", (*_LAPACK, *_REAL))),
        *(f"lapack_{kind}{name}_ffi" for kind, name in itertools.product("cz", (*_LAPACK, *_COMPLEX))),
        *(f"{library}_{name}_ffi" for library, name in itertools.product(("cusolver", "hipsolver"), _SOLVER)),
        *(f"{device}_{name}" for device in ("cu", "hip") for name in ("threefry2x32_ffi", "lu_pivots_to_permutation")),
        *("cusparse_gtsv2_ffi", "Sharding", "annotate_device_placement", "ApproxTopK"),
        *("mhlo.erf", "mhlo.topk", "mhlo.tan", "mhlo.asin", "mhlo.acos", "mhlo.sinh", "mhlo.cosh"),
        *("mhlo.asinh", "mhlo.acosh", "mhlo.atanh"),
    )
)


@contextlib.contextmanager
def module(portable: bytes) -> Iterator[ir.Module]:
    """A serialized StableHLO module, while its context is open. Raises ValueError where it is none."""
    with ir.Context() as context:
        for dialect in (stablehlo, chlo, sdy):
            dialect.register_dialect(context)
        try:
            found = stablehlo.deserialize_portable_artifact(context, portable)
        except Exception as error:
            raise ValueError(f"no StableHLO module: {' '.join(str(error).split())[:200]}") from error
        yield found


def violations(portable: bytes) -> Iterator[str]:
    """What a serialized StableHLO module holds and may not. Raises ValueError where it is none."""
    with module(portable) as found_in:
        found: dict[str, None] = {}
        count = itertools.count(1)
        found_in.operation.walk(lambda operation: _note(operation, found, next(count)))
    yield from found


def _note(operation: ir.Operation, found: dict[str, None], count: int) -> ir.WalkResult:
    name = operation.name
    if count > MOST_OPERATIONS:
        found[f"more than {MOST_OPERATIONS} operations"] = None
        return ir.WalkResult.INTERRUPT
    if name.split(".")[0] not in DIALECTS or name in IMPURE:
        found[f"the operation {name}"] = None
    if name == "stablehlo.custom_call":
        target = ir.StringAttr(operation.attributes["call_target_name"]).value
        if target not in ROUTINES:
            kind = "a host callback" if "callback" in target else "the custom call"
            found[f"{kind} {target!r}"] = None
    return ir.WalkResult.ADVANCE
