"""Runs the arms: for each first its correctness, then its time; one row flushed per arm; stops at the budget."""

import dataclasses
import enum
import functools
import json
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp

from kernels_pallas import cases
from kernels_pallas.bench import peer, provenance, shapes, sweep
from kernels_pallas.bench.arms import Arm, arms
from kernels_pallas.bench.rows import Results, figures
from kernels_pallas.common import dispatch, roofline, timing
from kernels_pallas.common.numerics import wide


@dataclasses.dataclass(frozen=True)
class Request:
    """What to measure. `only` names arms (None: all); `budget_s` bounds the whole run; `sweep` varies block sizes;
    `peer_note` tells the rows of ssd whether mamba_ssm was there to compare with, or why not."""

    ops: tuple[str, ...]
    shapes: tuple[str, ...]
    dtype: str
    device: str
    chunks: tuple[int, ...] | None
    only: tuple[str, ...] | None
    budget_s: float
    peaks: roofline.Peaks | None
    peer: peer.Checkout | None
    sweep: bool = False
    peer_note: str | None = None


def run(request: Request, results: Results, say=print) -> bool:
    """Adds a row per arm to `results`; False when an arm failed, was inaccurate, or the budget ran out.

    An arm of a sweep may fail (block sizes that a device cannot hold): that is recorded, and no failure of the run.
    ValueError when `only` names an arm that none of the operators has here.
    """
    _check_names(request)
    session = _Session(request, results, say, provenance.collect(), time.monotonic() + request.budget_s)
    complete = True
    for name in request.shapes:
        for op in request.ops:
            spec = shapes.spec(op, shapes.shape(name), request.dtype)
            for arm in _wanted(request, op, spec):
                complete &= session.finish(arm, spec, name) is Outcome.GOOD
            like = {"op": op, "shape": name, "dtype": request.dtype, "device": session.common["device"]}
            for arm in sweep.arms(results.rows, like) if request.sweep else ():
                complete &= session.finish(arm, spec, name) is not Outcome.NOT_RUN
    return complete


class Outcome(enum.Enum):
    """How an arm ended."""

    GOOD = "good"
    BAD = "bad"
    NOT_RUN = "not run"


@dataclasses.dataclass(frozen=True)
class _Session:
    """What all arms of a run share; `deadline` in seconds of the monotonic clock."""

    request: Request
    results: Results
    say: Callable
    common: dict
    deadline: float

    def finish(self, arm: Arm, spec, shape: str) -> Outcome:
        """Measures an arm unless its row is there or the budget is spent."""
        identity = {"op": arm.op, "label": arm.label, "shape": shape}
        identity |= {"dtype": self.request.dtype, "device": self.common["device"]}
        found = self.results.find(identity)
        if found:
            self.say(f"{arm.op} {arm.label} {shape}: already in {self.results.path}")
            return Outcome.BAD if found["error"] else Outcome.GOOD
        if time.monotonic() > self.deadline:
            self.say(f"{arm.op} {arm.label} {shape}: not run, the budget of {self.request.budget_s:g} s is spent")
            return Outcome.NOT_RUN
        fields = {"arm": arm.name, "chunk": arm.chunk, "blocks": dict(arm.blocks)}
        fields["peer"] = self.request.peer_note if arm.op == "ssd" else None
        row = identity | fields | self.common | _measure(arm, spec, self.request)
        self.results.add(row)
        self.say(json.dumps(row))
        return Outcome.BAD if row["error"] else Outcome.GOOD


def _check_names(request: Request) -> None:
    specs = [(op, shapes.spec(op, shapes.shape(name), request.dtype)) for op in request.ops for name in request.shapes]
    known = {arm.name for op, spec in specs for arm in arms(op, spec, request.device, request.chunks)} | {"mamba_ssm"}
    unknown = sorted(set(request.only or ()) - known)
    if unknown:
        raise ValueError(
            f"--arms: no arm {unknown[0]!r} of {', '.join(request.ops)} here; one of {', '.join(sorted(known))}"
        )


def _wanted(request: Request, op: str, spec) -> list[Arm]:
    found = arms(op, spec, request.device, request.chunks)
    if op == "ssd" and request.peer is not None:
        found += [Arm(op, "mamba_ssm", q) for q in (64, 128, 256)]
    return [a for a in found if request.only is None or a.name in request.only]


def _measure(arm: Arm, spec, request: Request) -> dict:
    """Errors and times of one arm. A failing arm is recorded with its error and does not stop the others."""
    dims = {"dims": dataclasses.asdict(spec)}
    if arm.name == "mamba_ssm":
        return dims | peer.measure(request.peer, spec, arm.chunk)
    try:
        with dispatch.block_sizes(**dict(arm.blocks)):
            wrong, errors = _accuracy(arm, spec)
            row = dims | {"rms_errors": errors, "error": "; ".join(wrong) or None}
            return row if wrong else row | figures(spec, arm.chunk, *_times(arm, spec), request.peaks)
    except (ValueError, TypeError, NotImplementedError, RuntimeError) as error:
        return dims | {"error": f"{type(error).__name__}: {str(error)[:500]}"}


def _case(arm: Arm, spec, seed: int = 0) -> cases.Case:
    case = shapes.case(spec, seed)
    if arm.baseline is None:
        return case

    def call(*, impl, chunk, **arrays):
        return arm.baseline(**arrays)

    return dataclasses.replace(case, call=call)


def _accuracy(arm: Arm, spec) -> tuple[list[str], dict[str, float]]:
    """Failures and errors against the float64 reference at a small shape, and against xla in float32 at this shape."""
    exact, want = _truths(spec)
    got = _case(arm, shapes.small(spec)).evaluate(_impl(arm), arm.chunk)
    wrong = [f"small shape: {w}" for w in cases.failures(got, exact, spec.dtype)]
    got = _case(arm, spec).evaluate(_impl(arm), arm.chunk)
    wrong += cases.failures(got, want, spec.dtype)
    return wrong, {k: cases.rms_error(got[k], want[k]) for k in want if want[k].size}


@functools.lru_cache(maxsize=1)
def _truths(spec) -> tuple[dict, dict]:
    """What the arms are compared with: float64 at a small shape, xla in float32 at the timed one."""
    chunk = 32 if jax.default_backend() == "cpu" else 128
    want = shapes.case(spec).cast("float32").evaluate("xla", chunk)
    return shapes.case(shapes.small(spec)).exact(), want


def _impl(arm: Arm) -> str:
    return "auto" if arm.baseline else arm.name


def _times(arm: Arm, spec) -> tuple[timing.Timing, timing.Timing]:
    """Forward, and forward with the gradients of all inputs."""
    case = _case(arm, spec)
    call = functools.partial(case.call, impl=_impl(arm), chunk=arm.chunk)
    arrays = {k: jnp.asarray(v) for k, v in case.arrays.items()}
    floats = {k: v for k, v in arrays.items() if jnp.issubdtype(v.dtype, jnp.floating)}
    rest = {k: v for k, v in arrays.items() if k not in floats}

    def loss(floats, rest):
        out = call(**floats, **rest)
        return sum(jnp.sum(v.astype(wide(spec.dtype)) ** 2) for v in out.values())

    forward = timing.measure(lambda f, r: call(**f, **r), floats, rest)
    both = timing.measure(jax.value_and_grad(loss), floats, rest)
    return forward, both
