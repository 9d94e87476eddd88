"""ssd against values computed by hand in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernels_pallas import ssd

ALL = ("reference", "xla", "xla_scan")
EXACT = {"rtol": 0, "atol": 6e-11}


def five_tokens(impl, x, dt, A, state, **options):
    """y and the final state of one head with one channel: B = C = 1."""
    ones = jnp.ones((1, 5, 1, 1))
    options |= {"impl": impl, "chunk": 3, "return_final_state": True}
    y, final = ssd(
        x.reshape(1, 5, 1, 1),
        dt.reshape(1, 5, 1),
        A,
        ones,
        ones,
        initial_state=jnp.reshape(state, (1, 1, 1, 1)),
        **options,
    )
    return y.ravel(), final.ravel()


def tokens():
    return jnp.arange(1.0, 6.0), jnp.full(5, 0.5), jnp.array([-1.0])


def with_gradients(impl, state, **options):
    """(y, final state), and the gradients of the sum of y for x, dt, A and the state."""
    args = (*tokens(), jnp.asarray(state))

    def loss(*args):
        y, final = five_tokens(impl, *args, **options)
        return y.sum(), (y, final)

    grads, outputs = jax.jit(jax.grad(loss, argnums=(0, 1, 2, 3), has_aux=True))(*args)
    return outputs, grads


@pytest.mark.parametrize("impl", ALL)
def test_five_tokens(x64, impl):
    (y, final), (dx, ddt, dA, dstate) = with_gradients(impl, 0.0)
    np.testing.assert_allclose(y, [0.5, 1.3032653299, 2.2904703803, 3.3892405108, 4.5556782829], **EXACT)
    np.testing.assert_allclose(final, [4.5556782829], **EXACT)
    np.testing.assert_allclose(dx, [1.1664377721, 1.0987701305, 0.9872050504, 0.8032653299, 0.5], **EXACT)
    np.testing.assert_allclose(ddt, [2.3328755443, 3.7286427499, 4.3625175993, 4.1942651645, 2.9443217171], **EXACT)
    np.testing.assert_allclose(dA, [3.2573431164], **EXACT)
    np.testing.assert_allclose(dstate, 1.4149605429, **EXACT)


@pytest.mark.parametrize("impl", ALL)
def test_five_tokens_with_skip_and_initial_state(x64, impl):
    y, final = five_tokens(impl, *tokens(), 2.0, D=jnp.ones(1))
    np.testing.assert_allclose(y, [2.7130613194, 4.0390242122, 5.7367307006, 7.6599110773, 9.7198482802], **EXACT)
    np.testing.assert_allclose(final, [4.7198482802], **EXACT)


@pytest.mark.parametrize("impl", ALL)
def test_five_tokens_in_three_runs_of_two_ids(x64, impl):
    segments = jnp.array([[7, 7, 3, 3, 7]])
    (y, final), (dx, ddt, dA, dstate) = with_gradients(impl, 2.0, segment_ids=segments)
    np.testing.assert_allclose(y, [1.7130613194, 2.0390242122, 1.5, 2.9097959896, 2.5], **EXACT)
    np.testing.assert_allclose(final, [2.5], **EXACT)
    np.testing.assert_allclose(dx, [0.8032653299, 0.5, 0.8032653299, 0.5, 0.5], **EXACT)
    np.testing.assert_allclose(ddt, [-0.3422895421, 0.9609757878, 4.8195919791, 3.0902040104, 5.0], **EXACT)
    np.testing.assert_allclose(dA, [1.9488202018], **EXACT)
    np.testing.assert_allclose(dstate, 0.9744101009, **EXACT)


WAVES = {  # sum and l2 norm; for y and the final state sum and sum of magnitudes
    False: {
        "y": (-1.6734250900, 1341.8888253592),
        "final": (-0.8057389925, 50.8759698304),
        "x": (66.6327468333, 45.5234285625),
        "dt": (-1.8369455740, 4.3339469682),
        "A": (0.4098595979, 3.0161027157),
        "B": (0.6992895900, 10.8780346312),
        "C": (483.2189051580, 25.1810708293),
        "D": (3.2915979489, 2.9288770710),
        "dt_bias": (-1.8369455740, 5.4109068017),
        "initial_state": (-0.9186215222, 4.1067070281),
    },
    True: {
        "y": (-0.5173839177, 1335.2525600538),
        "final": (-2.1047509726, 50.0732624432),
        "x": (67.3468064479, 45.6574547406),
        "dt": (-1.4107101819, 4.4206572065),
        "A": (-1.1239006635, 4.1087855613),
        "B": (1.3033513342, 11.4240905248),
        "C": (507.8759340703, 24.1149511319),
        "D": (3.2915979489, 2.9288770710),
        "dt_bias": (-1.4107101819, 4.7876231748),
        "initial_state": (-1.2548669354, 4.1182781685),
    },
}


SLOW_WAVES = [pytest.param(impl, False, marks=pytest.mark.slow) for impl in ALL]
SLOW_WAVES.append(pytest.param("reference", True, marks=pytest.mark.slow))


@pytest.mark.parametrize("impl,segments", [*SLOW_WAVES, *((impl, True) for impl in ALL[1:])])
def test_waves(x64, impl, segments):
    b, length, h, p, g, n = 2, 37, 4, 4, 2, 8

    def wave(shape, a, o):
        return jnp.sin(a * jnp.arange(1, np.prod(shape) + 1) + o).reshape(shape)

    args = {
        "x": wave((b, length, h, p), 0.7, 0),
        "dt": wave((b, length, h), 1.1, 0.5),
        "A": -jnp.arange(1.0, 5.0),
        "B": wave((b, length, g, n), 0.3, 1),
        "C": wave((b, length, g, n), 0.9, 2),
        "D": jnp.array([1.0, 1.5, 2.0, 2.5]),
        "dt_bias": jnp.array([-2.0, -1.75, -1.5, -1.25]),
        "initial_state": wave((b, h, p, n), 0.2, 0.1),
    }
    ids = jnp.repeat(jnp.arange(3), jnp.array([10, 16, 11]))[None].repeat(2, 0) if segments else None

    def loss(args):
        y, final = ssd(**args, segment_ids=ids, impl=impl, chunk=16, return_final_state=True)
        dy, dfinal = (jnp.cos(w * jnp.arange(v.size)).reshape(v.shape) for w, v in ((0.4, y), (0.6, final)))
        return jnp.sum(y * dy) + jnp.sum(final * dfinal), (y, final)

    grads, (y, final) = jax.tree.map(np.asarray, jax.jit(jax.grad(loss, has_aux=True))(args))
    want = WAVES[segments]
    for name, value in (("y", y), ("final", final)):
        np.testing.assert_allclose([value.sum(), np.abs(value).sum()], want[name], **EXACT, err_msg=name)
    for name, value in grads.items():
        np.testing.assert_allclose([value.sum(), np.sqrt((value**2).sum())], want[name], **EXACT, err_msg=name)
    np.testing.assert_allclose(y[1, 36, 3, 2], -2.6763151126 if segments else -2.6763174810, **EXACT)
