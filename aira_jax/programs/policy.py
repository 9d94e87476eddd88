"""What a program may hold: pure operations of StableHLO, and custom calls of known routines.

A custom call names code of the process that runs it. Allowed are the numeric routines behind jax.numpy and jax.lax, and
Triton kernels, which run on the device alone: labels of scored rows never lie there.
"""

import re
from collections.abc import Iterator

from jax.extend.mlir import ir
from jax.extend.mlir.dialects import chlo, sdy, stablehlo

DIALECTS = frozenset({"builtin", "func", "stablehlo", "chlo", "sdy"})
IMPURE = frozenset(f"stablehlo.{name}" for name in ("infeed", "outfeed", "send", "recv", "rng", "create_token"))
ROUTINES = re.compile(
    r"lapack_[a-z]+(_ffi)?|cusolver_[a-z_]+(_ffi)?|cublas_[a-z_]+(_ffi)?|cu_threefry2x32_ffi|cu_lu_pivots_to_permutation"
    r"|Sharding|SPMDFullToShardShape|SPMDShardToFullShape|annotate_device_placement|ApproxTopK|mhlo\.[a-z_]+"
    r"|__gpu\$xla\.gpu\.triton"
)


def violations(portable: bytes) -> Iterator[str]:
    """What a serialized StableHLO module holds and may not. Raises ValueError where it is none."""
    with ir.Context() as context:
        for dialect in (stablehlo, chlo, sdy):
            dialect.register_dialect(context)
        try:
            module = stablehlo.deserialize_portable_artifact(context, portable)
        except Exception as error:
            raise ValueError(f"no StableHLO module: {' '.join(str(error).split())[:200]}") from error
        found: dict[str, None] = {}
        module.operation.walk(lambda operation: _note(operation, found))
    yield from found


def _note(operation: ir.Operation, found: dict[str, None]) -> ir.WalkResult:
    name = operation.name
    if name.split(".")[0] not in DIALECTS or name in IMPURE:
        found[f"the operation {name}"] = None
    if name == "stablehlo.custom_call":
        target = ir.StringAttr(operation.attributes["call_target_name"]).value
        if not ROUTINES.fullmatch(target):
            kind = "a host callback" if "callback" in target else "the custom call"
            found[f"{kind} {target!r}"] = None
    return ir.WalkResult.ADVANCE
