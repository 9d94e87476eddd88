"""explain() tells what would run and why; selfcheck() proves chosen Pallas kernels on the device at hand."""

import dataclasses

import jax

from kernels_pallas import cases
from kernels_pallas.common import dispatch
from kernels_pallas.common.dispatch import Choice, Impl
from kernels_pallas.common.specs import ConvSpec, NormSpec, SsdSpec
from kernels_pallas.conv1d import support as conv1d
from kernels_pallas.gated_norm import api as gated_norm
from kernels_pallas.linear_xent import api as linear_xent
from kernels_pallas.ssd import checks
from kernels_pallas.ssd import support as ssd
from kernels_pallas.state_scan import support as state_scan

OPS = {op.name: op for op in (state_scan.OP, ssd.OP, conv1d.OP, gated_norm.OP, linear_xent.OP)}


class SelfCheckError(ValueError):
    """A Pallas kernel disagrees with XLA on this device."""


def explain(
    op: str, spec, *, impl: str | Impl = Impl.AUTO, validate: bool = False, values: dict | None = None
) -> Choice:
    """What a call of `op` ("ssd", "state_scan", ..) at the shapes of `spec` would run here, and why.

    With `validate`, also looks at the numbers in `values` (A, dt, dt_bias of ssd): A must be negative, steps not.
    Raises: ValueError as the call itself would.
    """
    if op not in OPS:
        raise ValueError(f"explain: unknown operator {op!r}; one of {', '.join(OPS)}")
    if validate:
        if op != "ssd" or not values:
            raise ValueError(
                "explain: validate=True checks the values A and dt of ssd: pass values={'A': .., 'dt': ..}"
            )
        checks.values(values["A"], values["dt"], values.get("dt_bias"))
    return dispatch.resolve(OPS[op], spec, impl, chunk=getattr(spec, "chunk", None))


@dataclasses.dataclass(frozen=True)
class SelfCheck:
    """One operator's result: `checked` is False where no Pallas kernel was chosen."""

    op: str
    choice: Choice
    checked: bool


def selfcheck(ops, specs, *, impl: str | Impl = Impl.AUTO, seed: int = 0) -> list[SelfCheck]:
    """Runs every chosen Pallas implementation at batch 1 against XLA, forward and gradients, before a training run.

    Args: ops and specs in pairs. Returns one SelfCheck for each. Raises: SelfCheckError with every tolerance
    exceeded and the setting that avoids the kernel.
    """
    return [_selfcheck(op, spec, impl, seed) for op, spec in zip(ops, specs, strict=True)]


def _selfcheck(op: str, spec, impl, seed: int) -> SelfCheck:
    choice = explain(op, spec, impl=impl)
    if not choice.impl.is_pallas:
        return SelfCheck(op, choice, checked=False)
    options = {SsdSpec: {"initial": True, "skip": "H", "bias": True}, ConvSpec: {"initial": True}}.get(type(spec), {})
    small = spec if isinstance(spec, NormSpec) or not hasattr(spec, "B") else dataclasses.replace(spec, B=1)
    check = cases.case(small, seed, **options)
    with dispatch.block_sizes(**dict(choice.blocks)):
        got = check.evaluate(choice.impl, choice.chunk)
    wrong = cases.failures(got, check.cast("float32").evaluate(Impl.XLA), check.dtype)
    if wrong:
        device = jax.devices()[0].device_kind
        raise SelfCheckError(
            f"kernels.impl.{op}={choice.impl.value} failed its self-check on {device} ({'; '.join(wrong)}); "
            f"set kernels.impl.{op}=xla and report the JSON of scripts/bench_kernels.py"
        )
    return SelfCheck(op, choice, checked=True)
