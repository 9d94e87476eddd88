"""What ssd promises: continuation, segments, causality, extremes, NaN, and JAX's transformations."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernels_pallas import SsdSpec, cases, ssd, ssd_step
from kernels_pallas.cases import rms_error

XLA = ("xla", "xla_scan")
ALL = ("reference", *XLA)
TIMED = ("x", "dt", "B", "C")
# Tests on the same shape compile once.
PLAIN, CONTINUED = SsdSpec(2, 24, 3, 4, 1, 4), SsdSpec(2, 40, 4, 8, 2, 8)


def arrays(spec: SsdSpec, seed: int, **options):
    return {k: jnp.asarray(v) for k, v in cases.case(spec, seed, **options).arrays.items()}


def values(tree):
    """As numpy arrays: comparing those compiles nothing."""
    return jax.tree.map(np.asarray, tree)


def at(a: dict, times: slice, **changes):
    """The inputs of a span of time."""
    return {k: v[:, times] if k in TIMED else v for k, v in a.items()} | changes


def close(got, want, scale: float = 1e-6):
    np.testing.assert_allclose(got, want, rtol=0, atol=scale * np.abs(want).max())


@pytest.mark.parametrize("impl", XLA)
def test_chunk_and_split_do_not_change_the_result(seed, impl):
    a = arrays(CONTINUED, seed, skip="H", bias=True, initial=True)
    run = functools.partial(ssd, impl=impl, return_final_state=True)
    whole, final = run(**a, chunk=32)
    for chunk in (8, 64):
        y, state = run(**a, chunk=chunk)
        assert rms_error(y, whole) < 1e-5
        assert rms_error(state, final) < 1e-5
    y0, middle = run(**at(a, slice(0, 20)))
    y1, end = run(**at(a, slice(20, 40), initial_state=middle))
    assert rms_error(np.concatenate([y0, y1], 1), whole) < 1e-5
    assert rms_error(end, final) < 1e-5


def test_steps_equal_the_whole_sequence(seed):
    a = arrays(CONTINUED, seed, skip="H", bias=True, initial=True)
    whole, final = ssd(**a, impl="xla_scan", chunk=32, return_final_state=True)
    step = jax.jit(functools.partial(ssd_step, A=a["A"], D=a["D"], dt_bias=a["dt_bias"]))
    state, ys = a["initial_state"], []
    for t in range(CONTINUED.L):
        y, state = step(state, a["x"][:, t], a["dt"][:, t], B=a["B"][:, t], C=a["C"][:, t])
        ys.append(y)
    assert state.dtype == jnp.float32
    assert rms_error(np.stack(ys, 1), whole) < 1e-5
    assert rms_error(state, final) < 1e-5


@pytest.mark.parametrize("impl", XLA)
def test_segments_equal_documents_run_separately(seed, impl):
    """Borders on a chunk edge (16), one token before and one after; the first document alone sees the initial state.

    Documents run alone are padded at their end by steps of zero, so that all have one length.
    """
    a, borders = values(arrays(SsdSpec(3, 40, 2, 8, 1, 8), seed, initial=True)), np.array([15, 16, 17])
    run = lambda **a: values(ssd(**a, impl=impl, chunk=16, return_final_state=True))
    place = np.broadcast_to(np.arange(40), (3, 40))
    inside = place < borders[:, None]
    y, final = run(**a, segment_ids=np.where(inside, 5, 2))

    def alone(order, kept, state):
        timed = {k: np.take_along_axis(a[k], order.reshape(3, 40, *[1] * (a[k].ndim - 2)), 1) for k in TIMED}
        return run(**timed | {"dt": np.where(kept[..., None], timed["dt"], 0)}, A=a["A"], initial_state=state)

    first, _ = alone(place, inside, a["initial_state"])
    shifted = (place + borders[:, None]) % 40
    second, end = alone(shifted, shifted >= borders[:, None], np.zeros_like(final))
    back = ((place - borders[:, None]) % 40)[..., None, None]
    want = np.where(inside[..., None, None], first, np.take_along_axis(second, back, 1))
    assert rms_error(y, want) < 1e-5
    assert rms_error(final, end) < 1e-5


@pytest.mark.parametrize("impl", XLA)
def test_extreme_steps_and_decays_stay_finite(seed, impl):
    a = arrays(SsdSpec(1, 40, 2, 4, 1, 4), seed, bias=True)
    a["dt"] = jnp.where(jnp.arange(80).reshape(1, 40, 2) % 3 == 0, 40.0, -40.0)
    a["A"] = jnp.array([-1e-4, -1e3])
    out, grads = values(jax.jit(jax.value_and_grad(lambda a: (ssd(**a, impl=impl, chunk=8) ** 2).sum()))(a))
    assert np.isfinite(out)
    assert all(np.isfinite(g).all() for g in grads.values())


@pytest.mark.parametrize("impl", XLA)
def test_gradient_at_a_zero_step_matches_finite_differences(x64, impl):
    """A clamp by min() would give half a gradient at the tie: 3.2116 instead of 2.9616."""
    x, ones = jnp.arange(1.0, 5.0).reshape(1, 4, 1, 1), jnp.ones((1, 4, 1, 1))
    dt, nudge = jnp.array([0.5, 0.0, 0.5, 0.5]), jnp.array([0, 1e-6, 0, 0])

    def loss(dt):
        return ssd(x, dt.reshape(1, 4, 1), jnp.array([-1.0]), ones, ones, impl=impl, chunk=4).sum()

    grad, high, low = jax.jit(lambda dt: (jax.grad(loss)(dt)[1], loss(dt + nudge), loss(dt - nudge)))(dt)
    np.testing.assert_allclose(grad, (high - low) / 2e-6, rtol=1e-7)
    np.testing.assert_allclose(grad, 2.9616, atol=5e-5)


@pytest.mark.parametrize("bad", [jnp.nan, pytest.param(jnp.inf, marks=pytest.mark.slow)])
@pytest.mark.parametrize("impl", ALL)
def test_nan_and_infinity_stay_in_their_batch_row_and_head(seed, impl, bad):
    a = values(arrays(PLAIN, seed))
    run = lambda **changes: np.asarray(ssd(**a | changes, impl=impl, chunk=8))
    clean = run()
    for name in ("x", "dt", "B"):
        where = (0, 5) if name == "B" else (0, 5, 1)
        spoilt = a[name].copy()
        spoilt[where] = bad
        dirty = run(**{name: spoilt})
        assert (clean[1] == dirty[1]).all(), name
        assert name == "B" or (clean[0][:, [0, 2]] == dirty[0][:, [0, 2]]).all(), name
        assert not np.isfinite(dirty[0, 5:, 1]).any(), name


@pytest.mark.parametrize("impl", ALL)
def test_outputs_do_not_depend_on_later_inputs(seed, impl):
    a, other = (values(arrays(PLAIN, s)) for s in (seed, seed + 1))
    late = {k: np.concatenate([a[k][:, :14], other[k][:, 14:]], 1) for k in TIMED} | {"A": a["A"]}
    y, z = (np.asarray(ssd(**v, impl=impl, chunk=8))[:, :14] for v in (a, late))
    assert np.abs(y - z).max() <= (0 if impl == "reference" else 1e-6)


def test_decay_gradient_identity(x64, seed):
    """With one group per head, the reverse cumulative sum of C.dC - B.dB is the gradient of dt*A."""
    a = arrays(SsdSpec(1, 21, 2, 4, 2, 4, "float64"), seed)
    cotangent = jnp.asarray(np.random.default_rng(seed).standard_normal(a["x"].shape))
    grads = values(jax.jit(jax.grad(lambda a: (ssd(**a, impl="xla", chunk=8) * cotangent).sum()))(a))
    a = values(a)
    flow = (a["C"] * grads["C"] - a["B"] * grads["B"]).sum(-1)
    da = np.flip(np.cumsum(np.flip(flow, 1), 1), 1)
    direct = (grads["x"] * a["x"]).sum(-1) / a["dt"]
    assert rms_error(grads["dt"], direct + a["A"] * da) < 1e-10


@pytest.mark.parametrize("impl", ["xla", pytest.param("xla_scan", marks=pytest.mark.slow)])
def test_vmap_checkpoint_and_scan_over_layers(seed, impl):
    a = arrays(SsdSpec(3, 20, 2, 4, 1, 4), seed)

    def run(**changes):
        return ssd(**a | changes, impl=impl, chunk=8)

    def one_row(*row):
        return (run(**{k: v[None] for k, v in zip(TIMED, row, strict=True)}) ** 2).sum()

    @jax.jit
    def grads(a):
        plain = jax.grad(lambda x: (run(x=x) ** 2).sum())(a["x"])
        by_row = jax.vmap(jax.grad(one_row))(*[a[k] for k in TIMED])
        return plain, by_row, jax.grad(lambda x: (jax.checkpoint(lambda x: run(x=x))(x) ** 2).sum())(a["x"])

    whole, by_row, recomputed = values(grads(a))
    close(by_row, whole)
    close(recomputed, whole)
    skips = np.array([[0.5, 0.5], [1.0, 1.0], [2.0, 2.0]], np.float32)
    layers, _ = jax.jit(lambda x: jax.lax.scan(lambda x, D: (run(x=x, D=D), None), x, skips))(a["x"])
    close(*values((layers, functools.reduce(lambda x, D: run(x=x, D=D), skips, a["x"]))))


def test_equal_shapes_trace_once_and_donated_inputs_give_the_same_bits(seed):
    a = arrays(SsdSpec(2, 40, 4, 8, 2, 8, "bfloat16"), seed)
    traces = []

    @functools.partial(jax.jit, donate_argnums=0)
    @jax.grad
    def grads(a):
        traces.append(1)
        return ssd(**a, impl="xla", chunk=16).astype(jnp.float32).sum()

    copies = [{k: v * factor for k, v in a.items()} for factor in (1, 0.5, 1)]
    one, _, two = (grads(a) for a in copies)
    assert all(v.is_deleted() for v in copies[0].values())
    assert len(traces) == 1
    assert all((one[k] == two[k]).all() for k in one)


@pytest.mark.slow
@pytest.mark.parametrize("impl", ["reference", "xla_scan"])
def test_second_derivatives_match_finite_differences(x64, seed, impl):
    a = arrays(dataclasses.replace(PLAIN, dtype="float64"), seed)
    direction = {k: jnp.asarray(np.random.default_rng(seed).standard_normal(v.shape)) for k, v in a.items() if k != "A"}

    @jax.jit
    @jax.grad
    def grads(timed):
        return jnp.sum(ssd(**timed, A=a["A"], impl=impl, chunk=8) ** 2)

    def moved(step):
        return grads({k: a[k] + step * v for k, v in direction.items()})

    _, tangent = jax.jvp(grads, ({k: a[k] for k in direction},), (direction,))
    for name, value in tangent.items():
        assert rms_error(value, (moved(1e-5)[name] - moved(-1e-5)[name]) / 2e-5) < 1e-6, name


def test_forward_mode_runs_in_xla_scan_and_says_so_elsewhere(seed):
    a = arrays(PLAIN, seed)
    run = functools.partial(ssd, impl="xla_scan", chunk=8)
    tangent = jax.jit(lambda x: jax.jvp(lambda x: run(**a | {"x": x}), (x,), (x,))[1])(a["x"])
    assert rms_error(tangent, run(**a)) < 1e-5
    with pytest.raises(TypeError, match="custom_vjp"):
        jax.jvp(lambda x: ssd(**a | {"x": x}, impl="xla", chunk=8), (a["x"],), (a["x"],))


@pytest.mark.parametrize("A,large,small,limit", [(-16, 10, 1e-2, 5e-4), (-1e4, 1, 1e-5, 5e-2), (-1e6, 1, 1e-7, 0.5)])
def test_small_steps_beside_large_ones_lose_no_more_than_the_readme_says(A, large, small, limit):
    rng = np.random.default_rng(0)
    x, B, C = (rng.standard_normal((1, 256, *dims)).astype(np.float32) for dims in ((2, 16), (1, 16), (1, 16)))
    dt = (
        np.where((np.arange(256) % 16 >= 5) & (np.arange(256) % 16 < 8), small, large)
        .astype(np.float32)[None, :, None]
        .repeat(2, 2)
    )
    args = x, dt, np.full(2, A, np.float32), B, C / 4
    with jax.enable_x64(True):
        exact = np.asarray(ssd(*[v.astype(np.float64) for v in args], impl="reference"))
    worst = lambda y: np.abs(np.asarray(y) - exact).max() / np.abs(exact).max()
    assert worst(ssd(*args, impl="reference")) < 1e-6
    assert worst(ssd(*args, impl="xla", chunk=128)) < limit
