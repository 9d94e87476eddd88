"""Dispatch: what runs where and why; and every refused input with the mend that its message names."""

import builtins
import dataclasses
import json
import logging
import subprocess
import sys

import jax.numpy as jnp
import pytest

from kernels_pallas import (
    ConvSpec,
    Impl,
    ScanSpec,
    SsdSpec,
    cases,
    causal_conv1d,
    causal_conv1d_step,
    chosen,
    explain,
    gated_rmsnorm,
    interpret_mode,
    linear_xent,
    selfcheck,
    ssd,
    ssd_step,
    state_scan,
)
from kernels_pallas.common import backends, dispatch
from kernels_pallas.common.lowering import Target, device
from kernels_pallas.state_scan.pallas_triton import Scan

SPEC = SsdSpec(1, 64, 2, 16, 1, 16)
LOW = dataclasses.replace(SPEC, dtype="bfloat16")
TIMED = (1, 6, 4)


def call(**changes):
    args = {
        "x": jnp.ones((*TIMED, 16)),
        "dt": jnp.ones(TIMED),
        "A": -jnp.ones(4),
        "B": jnp.ones((1, 6, 2, 16)),
        "C": jnp.ones((1, 6, 2, 16)),
    }
    return ssd(**args | changes)


REFUSED = {
    "empty": ({"x": jnp.ones((1, 0, 4, 16))}, r"ssd: L=0; drop empty sequences before the call"),
    "rank": ({"x": jnp.ones((6, 4, 16))}, r"x has shape \[6, 4, 16\]; needs \[B,L,H,P\]"),
    "size": ({"dt": jnp.ones((1, 5, 4))}, r"dt has shape \[1, 5, 4\]; needs \[B,L,H\] with B=1, L=6, H=4"),
    "groups": ({k: jnp.ones((1, 6, 3, 16)) for k in "BC"}, r"H=4 heads cannot be shared by G=3 groups"),
    "B and C": ({"C": jnp.ones((1, 6, 1, 16))}, r"C has shape \[1, 6, 1, 16\]; needs \[B,L,G,N\] .*G=2"),
    "A dtype": ({"A": -jnp.ones(4, jnp.bfloat16)}, r"pass A in float32: A = -jnp.exp\(A_log.astype\(jnp.float32\)\)"),
    "A integer": ({"A": -jnp.ones(4, jnp.int32)}, r"A is int32; pass A in float32"),
    "A sign": ({"A": jnp.array([-1.0, -1, 0, 2])}, r"A\[2\]=0.0; A must be negative: A = -jnp.exp\(A_log\)"),
    "half": ({k: jnp.ones((*TIMED, 16), jnp.float16) for k in "x"}, r"x is float16.*use bfloat16"),
    "mixed": ({"B": jnp.ones((1, 6, 2, 16), jnp.bfloat16)}, r"B is bfloat16 but x is float32; cast B to x.dtype"),
    "chunk": ({"chunk": 0}, r"chunk=0; needs an integer of at least 1 \(Pallas: 16, 32, 64, 128 or 256\)"),
    "chunk type": ({"chunk": 32.0}, r"chunk=32.0; needs an integer of at least 1"),
    "no states": ({k: jnp.ones((1, 6, 2, 0)) for k in "BC"}, r"N=0; drop empty inputs before the call"),
    "segments dtype": ({"segment_ids": jnp.ones((1, 6))}, r"segment_ids is float32; needs an integer dtype"),
    "segments": ({"segment_ids": jnp.ones((1, 5), int)}, r"segment_ids has shape \[1, 5\]; needs \[B,L\]"),
    "state": ({"initial_state": jnp.ones((1, 4, 16, 8))}, r"initial_state has shape .*needs \[B,H,P,N\]"),
    "state dtype": ({"initial_state": jnp.ones((1, 4, 16, 16), jnp.bfloat16)}, r"the state stays in float32"),
    "D": ({"D": jnp.ones(3)}, r"D has shape \[3\]; needs \[H\] with H=4"),
    "D dtype": ({"D": jnp.ones(4, int)}, r"D is int32; needs bfloat16, float32 or float64"),
    "bias": ({"dt_bias": jnp.ones(3)}, r"dt_bias has shape \[3\]; needs \[H\]"),
    "limit": ({"dt_limit": (1.0, 0.5)}, r"dt_limit=\(1.0, 0.5\); needs \(low, high\) with 0 <= low < high"),
    "no limit": ({"dt_limit": None}, r"dt_limit=None; needs \(low, high\)"),
    "one limit": ({"dt_limit": (0.1,)}, r"dt_limit=\(0.1,\); needs \(low, high\)"),
    "name": ({"impl": "cuda"}, r"unknown impl 'cuda'; one of auto, reference, xla"),
    "elsewhere": (
        {"impl": "pallas_triton"},
        r"pallas_triton needs a CUDA GPU.*Usable here \(cpu\): reference, xla, xla_scan",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_ssd_refuses(name):
    changes, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        call(**changes)


@pytest.mark.parametrize(
    "changes,message",
    [
        ({"chunk": 48}, r"chunk=48; Pallas kernels take 16, 32, 64, 128 or 256"),
        ({"chunk": 512}, r"chunk=512; Pallas kernels take"),
        ({"x": jnp.ones((*TIMED, 24))}, r'P=24 is no power of two >= 16.*use impl="xla"'),
        ({k: jnp.ones((1, 6, 2, 512)) for k in "BC"}, r'N=512 exceeds 256.*use impl="xla"'),
        (
            {"x": jnp.ones((*TIMED, 128))} | {k: jnp.ones((1, 6, 2, 256)) for k in "BC"},
            r'P\*N=32768 exceeds 16384.*use impl="xla"',
        ),
    ],
)
def test_pallas_names_its_limits(changes, message):
    with interpret_mode(), pytest.raises(ValueError, match=message):
        call(impl="pallas_triton", **changes)


@pytest.mark.parametrize(
    "changes,message",
    [
        ({}, r'take bfloat16, not float32.*TF32; use impl="pallas_triton" or "xla"'),
        ({"dtype": "bfloat16", "chunk": 32}, r"chunk=32; Mosaic GPU kernels take 64, 128 or 256"),
        ({"dtype": "bfloat16", "P": 256}, r"P=256 exceeds 128, the most that fits the registers of a warpgroup"),
        ({"dtype": "bfloat16", "N": 24}, r"N=24 is no power of two >= 16"),
    ],
)
def test_mosaic_gpu_names_its_limits(changes, message):
    with device(Target.H100), pytest.raises(ValueError, match=message):
        explain("ssd", dataclasses.replace(SPEC, **changes), impl="pallas_mosaic_gpu")


def test_the_other_operators_refuse():
    x, w = jnp.ones((1, 5, 16)), jnp.ones((4, 16))
    with pytest.raises(ValueError, match=r"causal_conv1d: L=0; drop empty sequences"):
        causal_conv1d(x[:, :0], w)
    with pytest.raises(
        ValueError, match=r"initial_state has 4 rows; needs W-1=3: caches of mamba_ssm hold W rows, drop the first"
    ):
        causal_conv1d(x, w, initial_state=jnp.ones((1, 4, 16)))
    with pytest.raises(ValueError, match=r"causal_conv1d_step: state has 4 rows"):
        causal_conv1d_step(jnp.ones((1, 4, 16)), x[:, 0], w)
    with pytest.raises(ValueError, match=r"causal_conv1d_step: K=0; drop empty inputs"):
        causal_conv1d_step(jnp.ones((1, 3, 0)), jnp.ones((1, 0)), w[:, :0])
    with pytest.raises(ValueError, match=r"causal_conv1d_step: state is int32; needs bfloat16, float32 or float64"):
        causal_conv1d_step(jnp.ones((1, 3, 16), int), x[:, 0], w)
    with pytest.raises(ValueError, match=r"causal_conv1d: w is int32; needs bfloat16, float32 or float64"):
        causal_conv1d(x, w.astype(int))
    with pytest.raises(ValueError, match=r"gated_rmsnorm: z is int32; needs bfloat16, float32 or float64"):
        gated_rmsnorm(x, x.astype(int), w[0])
    with pytest.raises(ValueError, match=r"gated_rmsnorm: w is float16"):
        gated_rmsnorm(x, x, w[0].astype(jnp.float16))
    with pytest.raises(ValueError, match=r"linear_xent: weights is int32; needs bfloat16, float32 or float64"):
        linear_xent(w, w, jnp.zeros(4, int), weights=jnp.ones(4, int))
    with pytest.raises(ValueError, match=r"unknown activation 'gelu'; one of silu, none"):
        causal_conv1d(x, w, activation="gelu")
    with pytest.raises(ValueError, match=r"groups=3 does not divide K=16"):
        gated_rmsnorm(x, x, w[0], groups=3)
    with pytest.raises(ValueError, match=r"gated_rmsnorm: eps=0; needs a positive number"):
        gated_rmsnorm(x, x, w[0], eps=0)
    with pytest.raises(ValueError, match=r"linear_xent: T=0; drop empty inputs"):
        linear_xent(jnp.ones((0, 4)), jnp.ones((5, 4)), jnp.ones(0, int))
    with pytest.raises(ValueError, match=r"state_scan: c=0; drop empty sequences"):
        state_scan(jnp.ones((1, 0, 2)), jnp.ones((1, 0, 2, 3)))
    with pytest.raises(ValueError, match=r"states is bfloat16; decays and states stay in float32"):
        state_scan(jnp.ones((1, 3, 2)), jnp.ones((1, 3, 2, 3), jnp.bfloat16))
    with pytest.raises(ValueError, match=r"ssd_step: state is bfloat16; the state stays in float32"):
        ssd_step(
            jnp.ones((1, 2, 4, 4), jnp.bfloat16),
            jnp.ones((1, 2, 4)),
            jnp.ones((1, 2)),
            -jnp.ones(2),
            *[jnp.ones((1, 1, 4))] * 2,
        )


def test_auto_is_the_chunked_scan_on_cpu():
    choice = explain("ssd", SPEC)
    assert (choice.impl, choice.chunk) == (Impl.XLA_SCAN, 32)
    assert explain("ssd", SPEC, impl="xla").reason == "named by the caller"


def test_auto_is_triton_on_a_gpu_and_says_what_it_skipped():
    with device(Target.H100):
        assert (explain("ssd", LOW).impl, explain("ssd", LOW).chunk) == (Impl.PALLAS_TRITON, 128)
        choice = explain("ssd", dataclasses.replace(LOW, P=24))
    assert choice.impl is Impl.XLA
    assert "skipped pallas_triton (P=24" in choice.reason
    with device(Target.TPU):
        assert explain("ssd", SPEC).impl is Impl.XLA


@pytest.mark.parametrize("op,spec", [("ssd", SPEC), ("causal_conv1d", ConvSpec(1, 64, 32, 4))])
def test_auto_leaves_float32_on_a_gpu_to_xla_unless_a_kernel_is_measured_as_faster(op, spec, monkeypatch):
    with device(Target.H100):
        choice = explain(op, spec)
        assert choice.impl is Impl.XLA
        assert "skipped pallas_triton (float32 is left to XLA" in choice.reason
        assert explain(op, dataclasses.replace(spec, dtype="bfloat16")).impl is Impl.PALLAS_TRITON
        row = {"impl": "pallas_triton", "chunk": 16, "blocks": {}}
        monkeypatch.setattr(dispatch, "_tuned", lambda stamp: {(op, Target.H100.value[0], spec.key()): row})
        assert explain(op, spec).impl is Impl.PALLAS_TRITON


@pytest.mark.parametrize(
    "changes,message",
    [
        ({"P": 64, "N": 128}, r'P\*N=8192 in float32 exceeds 1024.*without spilling; use impl="xla", or bfloat16'),
        ({"chunk": 64}, r"chunk=64 in float32; Triton kernels spill above chunk=32: pass chunk=32"),
    ],
)
def test_a_named_triton_kernel_refuses_float32_that_spills(changes, message):
    with device(Target.H100), pytest.raises(ValueError, match=message):
        explain("ssd", dataclasses.replace(SPEC, **changes), impl="pallas_triton")
    with device(Target.H100):
        assert explain("ssd", SPEC, impl="pallas_triton").chunk == 32
    with interpret_mode():
        assert explain("ssd", dataclasses.replace(SPEC, **changes), impl="pallas_triton").impl is Impl.PALLAS_TRITON


def test_auto_never_interprets():
    with device(Target.H100), interpret_mode():
        choice = explain("ssd", LOW)
        assert explain("ssd", LOW, impl="pallas_triton").impl is Impl.PALLAS_TRITON
    assert choice.impl is Impl.XLA
    assert "skipped pallas_triton (interpret_mode() runs only what is called by name)" in choice.reason


def test_the_choice_is_logged_once_per_shape_and_kept_for_the_record(caplog, monkeypatch):
    monkeypatch.setattr(dispatch, "_chosen", {})
    with caplog.at_level(logging.INFO, logger="kernels_pallas"):
        for _ in range(3):
            explain("ssd", SPEC)
        explain("ssd", SsdSpec(2, 64, 2, 16, 1, 16))
    assert [r.getMessage().split(" -> ")[1][:8] for r in caplog.records] == ["xla_scan"] * 2
    assert [(row["op"], row["impl"]) for row in chosen()] == [("ssd", "xla_scan")] * 2
    assert json.loads(json.dumps(chosen()))[0]["spec"] == str(SPEC)


def test_a_tuned_entry_decides_on_its_device(monkeypatch):
    row = {
        "op": "ssd",
        "device_kind": Target.H100.value[0],
        "key": SPEC.key(),
        "impl": "xla",
        "chunk": 64,
        "blocks": {},
    }
    monkeypatch.setattr(dispatch, "_tuned", lambda stamp: {("ssd", row["device_kind"], row["key"]): row})
    with device(Target.H100):
        choice = explain("ssd", SPEC)
        assert (choice.impl, choice.chunk) == (Impl.XLA, 64)
        assert "tuned table" in choice.reason
        assert explain("ssd", dataclasses.replace(LOW, B=3)).impl is Impl.PALLAS_TRITON


def test_without_pallas_triton_the_choice_gives_the_reason(monkeypatch):
    real = builtins.__import__
    monkeypatch.setitem(sys.modules, "jax.experimental.pallas.triton", None)
    monkeypatch.setattr(builtins, "__import__", real)
    backends.missing.cache_clear()
    try:
        with device(Target.H100):
            choice = explain("ssd", SPEC)
            with pytest.raises(ValueError, match="has no Pallas backend triton"):
                explain("ssd", SPEC, impl="pallas_triton")
    finally:
        backends.missing.cache_clear()
    assert choice.impl is Impl.XLA
    assert "has no Pallas backend triton" in choice.reason


def test_importing_needs_no_device_and_no_pallas():
    code = (
        "import sys; sys.modules['jax.experimental.pallas'] = None\n"
        "import kernels_pallas, jax._src.xla_bridge as b\n"
        "assert not b._backends, b._backends\n"
        "assert not [m for m in sys.modules if m.startswith(('aira_jax', 'flax', 'absl.app'))]"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_validation_names_the_first_offender():
    with pytest.raises(ValueError, match=r"dt\[0, 3, 1\]=-2.0 < 0"):
        explain("ssd", SPEC, validate=True, values={"A": -jnp.ones(2), "dt": jnp.ones((1, 4, 2)).at[0, 3, 1].set(-2)})
    with pytest.raises(ValueError, match=r"A\[1\]=1.0"):
        explain("ssd", SPEC, validate=True, values={"A": jnp.array([-1.0, 1.0]), "dt": jnp.ones((1, 4, 2))})


def test_selfcheck_passes_a_good_kernel_and_stops_on_a_bad_one(monkeypatch):
    spec = ScanSpec(4, 3, 2, 16)
    assert not selfcheck(["state_scan"], [spec])[0].checked
    with interpret_mode():
        assert selfcheck(["state_scan"], [spec], impl="pallas_triton")[0].checked
    good = Scan.__call__

    def bad(self, *args):
        before, final = good(self, *args)
        return before * 1.1, final

    monkeypatch.setattr(Scan, "__call__", bad)
    refusal = (
        r"kernels.impl.state_scan=pallas_triton failed its self-check on .* rms .* > .*; set kernels.impl.state_scan="
    )
    # Another block size, so that the call is traced anew and meets the bad kernel.
    with interpret_mode(), dispatch.block_sizes(tile=32), pytest.raises(ValueError, match=refusal):
        selfcheck(["state_scan"], [spec], impl="pallas_triton")


def test_selfcheck_runs_the_kernel_that_will_train(monkeypatch):
    """With the block sizes that the table has for the real batch, and with D and dt_bias as in the model."""
    spec, tiles = ScanSpec(4, 3, 2, 16), []
    row = {"impl": "pallas_triton", "blocks": {"tile": 8}}
    monkeypatch.setattr(dispatch, "_tuned", lambda stamp: {("state_scan", dispatch.device_kind(), spec.key()): row})
    good = Scan.__call__

    def noted(self, *args):
        tiles.append(self.tile)
        return good(self, *args)

    monkeypatch.setattr(Scan, "__call__", noted)
    with interpret_mode():
        assert selfcheck(["state_scan"], [spec], impl="pallas_triton")[0].choice.blocks == (("tile", 8),)
        assert set(tiles) == {8}
        seen = []
        monkeypatch.setattr(cases.Case, "evaluate", lambda self, *_: seen.append(set(self.arrays)) or {})
        selfcheck(["ssd"], [SPEC], impl="pallas_triton")
    assert all({"D", "dt_bias", "initial_state"} <= names for names in seen)
