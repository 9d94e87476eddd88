"""Primitives against independent float64 references, their sizes, causality, and decoding."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aira_jax.compose import dims
from aira_jax.primitives.activation import Activation
from aira_jax.primitives.attention import Attention, AttentionConfig, AttentionImpl, attend, causal_attention
from aira_jax.primitives.block import Large, Small
from aira_jax.primitives.mamba2 import Mamba2, Mamba2Config
from aira_jax.primitives.mlp import MLP, MLPConfig
from aira_jax.primitives.norm import Norm, NormKind
from aira_jax.primitives.rotary import rotate

PRIMITIVES = ("A", "M", "Mb")


def size(tree) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def block_sizes(config) -> list[int]:
    x = jax.ShapeDtypeStruct((1, 8, config.dim), jnp.float32)
    norm = config.dim * (2 if config.norm is NormKind.LAYER else 1)
    return [size(jax.eval_shape(config.block(p).init, jax.random.key(0), x)) - norm for p in PRIMITIVES]


def test_small_primitives_have_the_published_sizes():
    assert block_sizes(Small(128)) == [66_048, 131_072, 104_620]


@pytest.mark.parametrize(
    "scale, mlp_2, mlp_3, attention, mamba",
    [
        ("350M", 18_874_368, 28_311_552, 6_291_456, 14_642_576),
        ("1B", 50_331_648, 50_331_648, 10_485_760, 25_847_232),
        ("3B", 75_497_472, 113_246_208, 25_165_824, 58_530_592),
    ],
)
def test_large_primitives_are_the_same_modules_with_the_published_sizes(scale, mlp_2, mlp_3, attention, mamba):
    assert block_sizes(Large(dims.get(scale, 2))) == [attention, mlp_2, mamba]
    assert block_sizes(Large(dims.get(scale, 3))) == [attention, mlp_3, mamba]


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_a_later_token_never_changes_an_earlier_output(primitive):
    block = Small(16).block(primitive)
    x = jax.random.normal(jax.random.key(1), (2, 40, 16))
    changed = x.at[:, 23].add(1.0)
    params = jax.jit(block.init)(jax.random.key(0), x)
    apply = jax.jit(block.apply)
    before, after = apply(params, x), apply(params, changed)
    np.testing.assert_array_equal(before[:, :23], after[:, :23])
    assert np.abs(before[:, 23:] - after[:, 23:]).max() > 1e-3


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_decoding_token_by_token_equals_the_whole_sequence(primitive):
    block = Small(16).block(primitive)
    x = jax.random.normal(jax.random.key(1), (2, 9, 16))
    params = jax.jit(block.init)(jax.random.key(0), x)
    cache = block.apply(params, 2, 9, method="init_cache")
    step = jax.jit(lambda x, cache, t: block.apply(params, x, cache, t, method="step"))
    outputs = []
    for t in range(9):
        y, cache = step(x[:, t], cache, t)
        outputs.append(y)
    np.testing.assert_allclose(jnp.stack(outputs, 1), jax.jit(block.apply)(params, x), atol=2e-6)


def test_blocked_attention_equals_dense_attention_and_its_gradients():
    keys = jax.random.split(jax.random.key(0), 4)
    q, g = (jax.random.normal(key, (2, 70, 4, 8)) for key in keys[:2])
    k, v = (jax.random.normal(key, (2, 70, 2, 8)) for key in keys[2:])

    def dense(q, k, v):
        return attend(q, k, v, jnp.tri(70, dtype=bool))

    def with_gradients(f):
        return jax.jit(lambda q, k, v, g: (f(q, k, v), *jax.vjp(f, q, k, v)[1](g)))(q, k, v, g)

    for actual, expected in zip(with_gradients(causal_attention), with_gradients(dense), strict=True):
        np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_grouped_attention_equals_attention_with_repeated_keys():
    keys = jax.random.split(jax.random.key(0), 3)
    q = jax.random.normal(keys[0], (1, 6, 4, 8))
    k, v = (jax.random.normal(key, (1, 6, 2, 8)) for key in keys[1:])
    visible = jnp.tri(6, dtype=bool)
    repeated = jax.jit(attend)(q, jnp.repeat(k, 2, axis=2), jnp.repeat(v, 2, axis=2), visible)
    np.testing.assert_allclose(jax.jit(attend)(q, k, v, visible), repeated, atol=1e-6)


def test_rotary_scores_depend_on_the_distance_alone_and_position_zero_is_untouched():
    q, k = jax.random.normal(jax.random.key(0), (2, 1, 1, 1, 8))
    np.testing.assert_array_equal(rotate(q, 1e4, 0), q)
    near = jnp.vdot(rotate(q, 1e4, 5), rotate(k, 1e4, 3))
    far = jnp.vdot(rotate(q, 1e4, 105), rotate(k, 1e4, 103))
    other = jnp.vdot(rotate(q, 1e4, 5), rotate(k, 1e4, 2))
    assert abs(near - far) < 1e-4 < abs(near - other)


def test_rotary_turns_half_split_pairs_by_the_published_angles():
    x = jnp.zeros((1, 3, 1, 4)).at[..., 0].set(1.0).at[..., 1].set(1.0)
    rotated = rotate(x, 1e4)[0, 2, 0]
    expected = [math.cos(2.0), math.cos(0.02), math.sin(2.0), math.sin(0.02)]
    np.testing.assert_allclose(rotated, expected, atol=1e-6)


def test_odd_head_dims_are_refused():
    with pytest.raises(ValueError, match="head dim 7 is odd"):
        rotate(jnp.zeros((1, 2, 1, 7)), 1e4)


@pytest.mark.parametrize(
    "activation, function",
    [
        (Activation.RELU, lambda u: np.maximum(u, 0)),
        (Activation.GELU_TANH, lambda u: 0.5 * u * (1 + np.tanh(math.sqrt(2 / math.pi) * (u + 0.044715 * u**3)))),
    ],
)
def test_mlp_activations(activation, function):
    mlp = MLP(MLPConfig(4, 8, activation))
    x = jax.random.normal(jax.random.key(0), (3, 4))
    params = jax.jit(mlp.init)(jax.random.key(1), x)
    up, down = (np.asarray(params["params"][name]["kernel"]) for name in ("up", "down"))
    np.testing.assert_allclose(mlp.apply(params, x), function(np.asarray(x) @ up) @ down, atol=1e-6)


def test_norms_follow_their_formulas():
    x = np.random.default_rng(0).normal(2.0, 3.0, (5, 16)).astype(np.float32)
    centred = x - x.mean(-1, keepdims=True)
    layer = centred / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    rms = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5)
    for kind, expected in ((NormKind.LAYER, layer), (NormKind.RMS, rms)):
        norm = Norm(kind)
        np.testing.assert_allclose(norm.apply(jax.jit(norm.init)(jax.random.key(0), x), x), expected, atol=2e-6)


def silu(u):
    return u / (1 + np.exp(-u))


def mamba2_float64(p, c, x):
    """The recurrence of the Mamba-2 paper, one token at a time."""
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), p)
    outputs, window, state = [], np.zeros((c.conv, c.channels)), np.zeros((c.heads, c.head_dim, c.state))
    decay = -np.exp(p["A_log"])
    for u in np.asarray(x, np.float64):
        projected = u @ p["in_proj"]["kernel"]
        z, conv_in, dt = np.split(projected, [c.inner, c.inner + c.channels])
        window = np.concatenate([window[1:], conv_in[None]])
        values, B, C = np.split(silu((window * p["conv_weight"]).sum(0) + p["conv_bias"]), [c.inner, c.inner + c.state])
        values, dt = values.reshape(c.heads, c.head_dim), np.log1p(np.exp(dt + p["dt_bias"]))
        state = np.exp(dt * decay)[:, None, None] * state + (dt[:, None] * values)[..., None] * B
        y = (state @ C + p["D"][:, None] * values).reshape(-1) * silu(z)
        y = y / np.sqrt((y**2).mean() + c.eps) * p["norm_weight"]
        outputs.append(y @ p["out_proj"]["kernel"])
    return np.stack(outputs)


@pytest.mark.parametrize("ssd_impl", ["reference", "xla_scan", "auto"])
def test_mamba2_equals_its_float64_recurrence_with_every_scan(ssd_impl):
    c = Mamba2Config(dim=12, inner=24, head_dim=8, state=6, ssd_impl=ssd_impl)
    x = jax.random.normal(jax.random.key(0), (1, 37, 12))
    params = jax.jit(Mamba2(c).init)(jax.random.key(1), x)
    expected = mamba2_float64(params["params"], c, x[0])
    np.testing.assert_allclose(jax.jit(Mamba2(c).apply)(params, x)[0], expected, atol=1e-5)


def test_mamba2_starts_with_the_published_steps_and_decays():
    c = Mamba2Config(dim=8, inner=2048, head_dim=1, state=2)
    p = jax.jit(Mamba2(c).init)(jax.random.key(0), jnp.zeros((1, 2, 8)))["params"]
    step, decay = np.log1p(np.exp(np.asarray(p["dt_bias"], np.float64))), np.exp(p["A_log"])
    assert 1e-3 * 0.999 < step.min() < 1.1e-3
    assert 0.09 < step.max() < 0.1001
    assert abs(np.median(step) - 1e-2) < 1.5e-3
    assert 1 <= decay.min() < 1.1
    assert 15.9 < decay.max() < 16.01
    assert abs(decay.mean() - 8.5) < 0.5
    assert np.all(p["D"] == 1)
    assert np.all(np.abs(p["conv_weight"]) <= 0.5)
    assert np.abs(p["conv_bias"]).max() > 0.45


def test_linear_weights_are_uniform_within_the_inverse_root_of_their_inputs():
    params = jax.jit(MLP(MLPConfig(16, 64)).init)(jax.random.key(0), jnp.zeros((1, 16)))["params"]
    for name, fan_in in (("up", 16), ("down", 64)):
        kernel = np.asarray(params[name]["kernel"])
        assert 0.95 < np.abs(kernel).max() * math.sqrt(fan_in) <= 1
        assert abs(kernel.std() * math.sqrt(3 * fan_in) - 1) < 0.05


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: AttentionConfig(8, heads=6, kv_heads=4, head_dim=2), "6 query heads cannot share 4 key heads"),
        (lambda: Mamba2Config(8, inner=20, head_dim=8), "inner = 20 is no multiple of head_dim = 8"),
        (lambda: Mamba2Config(8, inner=24, head_dim=8, groups=2), "3 heads cannot share 2 groups"),
    ],
)
def test_impossible_shapes_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_bfloat16_layers_keep_a_float32_residual_stream():
    block = Small(16, dtype="bfloat16", attention=AttentionImpl.DENSE).block("A")
    x = jax.random.normal(jax.random.key(0), (1, 4, 16))
    params = jax.jit(block.init)(jax.random.key(1), x)
    assert block.apply(params, x).dtype == jnp.float32
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(params))
    assert isinstance(block.bind(params).layer, Attention)
