"""What is proved of a program's results from its text, and what no proof is given for."""

import functools

import flax.linen as nn
import jax
import jax.export
import jax.numpy as jnp
import pytest

from aira_jax.programs import dependence, store
from aira_jax.programs.dependence import Dependence
from aira_jax.programs.store import ProgramError

X = jax.ShapeDtypeStruct((4, 4), jnp.float32)
CONSTANT, LINEAR, AFFINE, OTHER = Dependence.CONSTANT, Dependence.LINEAR, Dependence.AFFINE, Dependence.OTHER


def of(function):
    """The dependence of function(a, c) on c."""
    exported = jax.export.export(jax.jit(lambda a, c: (function(a, c),), keep_unused=True))(X, X)
    (found,) = dependence.of(exported.mlir_module_serialized, [CONSTANT, LINEAR])
    return found


def summed(a, c):
    return jax.lax.scan(lambda carry, row: (carry + row @ a, carry), jnp.zeros(4), c)[1]


def solved(a, c):
    return jax.scipy.linalg.solve_triangular(a, c, lower=True)


def pooled(a, c):
    pool = functools.partial(nn.max_pool, window_shape=(2,), strides=(2,))
    return jax.vjp(pool, a)[1](c[:2])[0]


def remembered(a, c):
    return jax.vjp(jax.checkpoint(lambda a: jnp.tanh(a @ jnp.sort(a))), a)[1](c)[0]


@pytest.mark.parametrize(
    "function",
    [
        lambda a, c: -c.T @ a / jnp.exp(a),
        lambda a, c: jnp.where(a > 0, c, 0)[::-1].astype(jnp.bfloat16).astype(jnp.float32),
        lambda a, c: jax.lax.cond(a[0, 0] > 0, lambda: c, lambda: c * a),
        lambda a, c: jnp.zeros((4, 4)).at[a.argmax(0)].add(c),
        lambda a, c: jnp.cumsum(c, axis=1) + jnp.take_along_axis(c, jnp.argsort(a), axis=1, mode="clip"),
        lambda a, c: jnp.fft.irfft(jnp.fft.rfft(c), n=4),
        lambda a, c: jax.lax.conv(c[None, None], a[None, None], (1, 1), "SAME")[0, 0],
        *(summed, solved, pooled, remembered),
    ],
)
def test_the_operations_of_a_way_back_are_linear(function):
    assert of(function) is LINEAR


@pytest.mark.parametrize(
    "function",
    [
        lambda a, c: c * c,
        lambda a, c: jnp.sign(c) * a,
        lambda a, c: jnp.where(c > 0, a, 0),
        lambda a, c: a[c.argmax(0)],
        lambda a, c: jnp.round(c),
        lambda a, c: c.astype(jnp.int32).astype(jnp.float32),
        lambda a, c: c.astype(jnp.float8_e5m2).astype(jnp.float32),
        lambda a, c: jax.lax.reduce_precision(c, 2, 2),
        lambda a, c: a / c,
        lambda a, c: jnp.linalg.solve(c, a),
        lambda a, c: jnp.sort(c),
        lambda a, c: c.max() * a,
        lambda a, c: jax.lax.while_loop(lambda s: s.sum() < 9, lambda s: s + c, a),
        lambda a, c: jax.lax.cond(c.sum() > 0, lambda: a, lambda: 0 * a),
        lambda a, c: jax.lax.fori_loop(0, 3, lambda _, s: s * c, a),
        lambda a, c: jax.lax.bitcast_convert_type(c, jnp.int32) * a,
    ],
)
def test_nothing_else_is_taken_for_linear(function):
    assert of(function) is OTHER


def test_a_sum_with_something_that_stays_is_affine_unless_that_is_zero():
    assert of(lambda a, c: a + 2 * c) is AFFINE
    assert of(lambda a, c: jax.lax.fori_loop(0, 3, lambda _, s: 0.9 * s + a, c)) is AFFINE
    assert of(lambda a, c: jnp.zeros((4, 4)) * a + c) is LINEAR
    assert of(lambda a, c: a @ a) is CONSTANT


def test_functions_that_call_each_other_without_end_are_refused(tmp_path, monkeypatch):
    store.save(tmp_path, "f", lambda a: (jax.jit(lambda x: x + 1)(a),), [X])
    program = store.load(tmp_path, "f", [X], [X])
    assert program.dependence([LINEAR]) == (AFFINE,)
    monkeypatch.setattr(dependence, "_DEEPEST", 0)
    with pytest.raises(ProgramError, match="deep"):
        program.dependence([LINEAR])
