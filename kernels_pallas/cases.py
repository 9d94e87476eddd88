"""Random inputs of every operator, and its outputs and gradients by name: for self-checks, benchmarks and tests.

B batch, L time, H heads, P head dim, G groups, N state dim, W width, K channels, T tokens, d model dim, V vocabulary.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from kernels_pallas.common.numerics import rms_error, wide
from kernels_pallas.common.specs import ConvSpec, NormSpec, ScanSpec, SsdSpec, XentSpec
from kernels_pallas.conv1d.api import causal_conv1d
from kernels_pallas.gated_norm.api import gated_rmsnorm
from kernels_pallas.linear_xent.api import linear_xent
from kernels_pallas.ssd.api import ssd
from kernels_pallas.state_scan.api import state_scan


@dataclasses.dataclass(frozen=True)
class Case:
    """One call: `call(impl=..., chunk=..., **arrays)` returns outputs by name; integer arrays have no gradient."""

    op: str
    dtype: str
    arrays: dict[str, np.ndarray]
    call: Callable
    seed: int

    def evaluate(self, impl: str = "auto", chunk: int | None = None) -> dict[str, np.ndarray]:
        """Outputs by name, and the gradient of a random linear function of them as "d" + input name.

        The weights of that function are exact in bfloat16: they are inputs too, the same for every dtype.
        """
        arrays = {k: jnp.asarray(v) for k, v in self.arrays.items()}
        floats = {k: v for k, v in arrays.items() if jnp.issubdtype(v.dtype, jnp.floating)}
        rest = {k: v for k, v in arrays.items() if k not in floats}
        run = functools.partial(self.call, impl=impl, chunk=chunk)
        rng = np.random.default_rng(self.seed)
        shapes = jax.eval_shape(run, **arrays)
        draws = {k: rng.standard_normal(shapes[k].shape) for k in sorted(shapes)}
        cotangents = {k: v.astype(jnp.bfloat16).astype(np.float32) for k, v in draws.items()}

        def loss(floats):
            out = run(**floats, **rest)
            return sum(jnp.sum(out[k].astype(wide(self.dtype)) * cotangents[k]) for k in sorted(out)), out

        grads, out = jax.jit(jax.grad(loss, has_aux=True))(floats)
        return {k: np.asarray(v) for k, v in out.items()} | {f"d{k}": np.asarray(v) for k, v in grads.items()}

    def cast(self, dtype: str) -> "Case":
        """The same call with all float inputs in `dtype`."""
        arrays = {k: v.astype(dtype) if jnp.issubdtype(v.dtype, jnp.floating) else v for k, v in self.arrays.items()}
        return dataclasses.replace(self, dtype=dtype, arrays=arrays)

    def exact(self) -> dict[str, np.ndarray]:
        """The same by the reference implementation in float64, from the same (already rounded) inputs."""
        with jax.enable_x64(True):
            return self.cast("float64").evaluate(impl="reference")


def case(spec, seed: int, **options) -> Case:
    """A case for any spec of common/specs.py."""
    return _CASES[type(spec)](spec, np.random.default_rng(seed), seed, **options)


def tolerance(name: str, dtype: str) -> float:
    """Largest allowed rms(a-b)/rms(b) against the float64 reference."""
    if dtype == "float64":
        return 1e-12
    gradient = name.startswith("d") and name != "dt"
    if dtype == "bfloat16":
        return 1e-2 if name in ("dA", "dD", "ddt_bias", "dw", "db") else 5e-3
    return 2e-5 if gradient else 1e-5


@dataclasses.dataclass(frozen=True)
class Error:
    """How far an output is from the exact one, in units of the rms of the exact one."""

    name: str
    rms: float
    worst: float  # of a single element, less the rounding of storing it
    limit: float

    def __str__(self) -> str:
        if not self.rms <= self.limit:
            return f"{self.name} rms {self.rms:.1e} > {self.limit:.0e}"
        return f"{self.name} max {self.worst:.1e} > {20 * self.limit:.0e}"

    @property
    def share(self) -> float:
        """The larger error as a share of what is allowed: at most 1 within tolerance, nan for values not finite."""
        return float(np.maximum(self.rms / self.limit, self.worst / (20 * self.limit)))


def errors(got: dict, want: dict, dtype: str) -> list[Error]:
    """The error of every output and gradient.

    A single element may be off by 20 tolerances, and besides by the rounding of its own storage: the exact value
    itself, rounded to bfloat16, is off by up to 2^-8 of its magnitude, which for an element 26 times the rms already
    exceeds 20 tolerances of 5e-3.
    """
    return [_error(name, got[name], exact, tolerance(name, dtype)) for name, exact in want.items() if exact.size]


def _error(name: str, got, exact, limit: float) -> Error:
    storage = float(jnp.finfo(got.dtype).eps) / 2
    a, b = np.asarray(got, np.float64), np.asarray(exact, np.float64)
    beyond = np.abs(a - b) - storage * np.abs(b)
    scale = np.sqrt(np.mean(b**2)) or 1.0
    return Error(name, rms_error(a, b), float(np.max(beyond) / scale), limit)


def failures(got: dict, want: dict, dtype: str) -> list[str]:
    """What exceeds its tolerance, as "dx rms 3.1e-02 > 5e-03"."""
    return [str(error) for error in errors(got, want, dtype) if not error.share <= 1]


def _runs(s, rng):
    """Segment ids [B,L]: about four runs of two ids that keep coming back."""
    return (np.cumsum(rng.random((s.B, s.L)) < 4 / s.L, axis=1) % 2).astype(np.int32)


def _ssd(s: SsdSpec, rng, seed: int, *, skip: str = "", bias=False, initial=False, **_) -> Case:
    low = np.float64 if s.dtype == "float64" else np.float32
    normal = rng.standard_normal
    base = np.exp(rng.uniform(np.log(1e-3), np.log(1e-1), (s.B, s.L, s.H)))
    raw = 0.5 * normal((s.B, s.L, s.H)) + base + np.log(-np.expm1(-base))
    arrays = {
        "x": normal((s.B, s.L, s.H, s.P)).astype(s.dtype),
        "dt": (raw if bias else np.log1p(np.exp(raw))).astype(low),
        "A": -rng.uniform(1, 16, s.H).astype(low),
        "B": normal((s.B, s.L, s.G, s.N)).astype(s.dtype),
        "C": (normal((s.B, s.L, s.G, s.N)) / np.sqrt(s.N)).astype(s.dtype),
    }
    if skip:
        arrays["D"] = normal({"H": (s.H,), "HP": (s.H, s.P)}[skip]).astype(low)
    if bias:
        arrays["dt_bias"] = (0.1 * normal(s.H)).astype(low)
    if initial:
        arrays["initial_state"] = normal((s.B, s.H, s.P, s.N)).astype(low)
    if s.segments:
        arrays["segment_ids"] = _runs(s, rng)

    def call(*, impl, chunk, **a):
        args = [a.pop(k) for k in ("x", "dt", "A", "B", "C")]
        y, final = ssd(*args, **a, impl=impl, chunk=chunk, return_final_state=True)
        return {"y": y, "final_state": final}

    return Case("ssd", s.dtype, arrays, call, seed)


def _scan(s: ScanSpec, rng, seed: int, *, reverse=False, exclusive=False, resets=True, **_) -> Case:
    decay = rng.uniform(0, 1, (s.B, s.c, s.H))
    if resets:
        decay = np.where(rng.random(decay.shape) < 0.1, 0, decay)
    arrays = {
        "decay": decay.astype(s.dtype),
        "states": rng.standard_normal((s.B, s.c, s.H, s.F)).astype(s.dtype),
        "initial": rng.standard_normal((s.B, s.H, s.F)).astype(s.dtype),
    }

    def call(*, impl, chunk, decay, states, initial):
        out, final = state_scan(decay, states, initial=initial, reverse=reverse, exclusive=exclusive, impl=impl)
        return {"out": out, "final": final}

    return Case("state_scan", s.dtype, arrays, call, seed)


def _conv(s: ConvSpec, rng, seed: int, *, bias=True, initial=False, activation="silu", **_) -> Case:
    low = np.float64 if s.dtype == "float64" else np.float32
    arrays = {
        "x": rng.standard_normal((s.B, s.L, s.K)).astype(s.dtype),
        "w": rng.uniform(-1, 1, (s.W, s.K)).astype(low),
    }
    if bias:
        arrays["b"] = rng.uniform(-1, 1, s.K).astype(low)
    if initial:
        arrays["initial_state"] = rng.standard_normal((s.B, s.W - 1, s.K)).astype(s.dtype)
    if s.segments:
        arrays["segment_ids"] = _runs(s, rng)

    def call(*, impl, chunk, x, w, b=None, **a):
        y, state = causal_conv1d(x, w, b, **a, activation=activation, impl=impl, return_final_state=True)
        return {"y": y, "state": state}

    return Case("causal_conv1d", s.dtype, arrays, call, seed)


def _norm(s: NormSpec, rng, seed: int, *, norm_before_gate=False, **_) -> Case:
    low = np.float64 if s.dtype == "float64" else np.float32
    arrays = {k: rng.standard_normal((s.T, s.K)).astype(s.dtype) for k in ("y", "z")}
    arrays["w"] = rng.uniform(0.5, 1.5, s.K).astype(low)

    def call(*, impl, chunk, y, z, w):
        return {"out": gated_rmsnorm(y, z, w, groups=s.groups, norm_before_gate=norm_before_gate, impl=impl)}

    return Case("gated_rmsnorm", s.dtype, arrays, call, seed)


def _xent(s: XentSpec, rng, seed: int, *, z_loss=0.0, **_) -> Case:
    arrays = {
        "h": rng.standard_normal((s.T, s.d)).astype(s.dtype),
        "table": (rng.standard_normal((s.V, s.d)) / np.sqrt(s.d)).astype(s.dtype),
        "labels": np.where(rng.random(s.T) < 0.1, -100, rng.integers(0, s.V, s.T)).astype(np.int32),
    }

    def call(*, impl, chunk, h, table, labels):
        out = linear_xent(h, table, labels, z_loss=z_loss, block=s.block, impl=impl)
        return {"loss_sum": out.loss_sum, "lse": out.lse}

    return Case("linear_xent", s.dtype, arrays, call, seed)


_CASES = {SsdSpec: _ssd, ScanSpec: _scan, ConvSpec: _conv, NormSpec: _norm, XentSpec: _xent}
