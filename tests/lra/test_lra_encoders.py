"""Encoders: parameter counts, padding, attention against plain loops, options and their errors."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import lra_draw as draw
import numpy as np
import pytest

from lra import encoders
from lra.encoders import attention, parts
from lra.encoders.transformer import TransformerEncoder

TEXT = {"emb_dim": 512, "num_heads": 8, "num_layers": 6, "qkv_dim": 512, "mlp_dim": 2048, "max_len": 1000}
LISTOPS = {"emb_dim": 512, "num_heads": 8, "num_layers": 4, "qkv_dim": 512, "mlp_dim": 1024, "max_len": 2000}
TINY = {"emb_dim": 16, "num_heads": 2, "num_layers": 1, "qkv_dim": 16, "mlp_dim": 24, "max_len": 80, "state_dim": 8}


def slow(name: str):
    return pytest.param(name, marks=pytest.mark.slow)


MIXERS = [slow(name) if name in ("lru", "mega_chunk") else name for name in encoders.SINGLE]


def small(name: str, **options) -> nn.Module:
    kind = encoders.single(name)
    declared = {field: value for field, value in TINY.items() if field in kind.__dataclass_fields__}
    return kind(vocab_size=17, num_classes=10, **declared, **options)


@functools.cache
def logits_of(name: str, *options: tuple[str, object]) -> tuple[np.ndarray, np.ndarray]:
    """Logits of rows of 40, 17, 3 and 40 tokens (the last is the first, reversed), without and with 40 positions of
    padding behind."""
    model = small(name, **dict(options))
    inputs = draw.tokens([40, 17, 3, 40], 40)
    inputs[-1] = inputs[0, ::-1]
    variables = draw.variables(model, inputs)
    forward = jax.jit(lambda x: model.apply(variables, x, train=False))
    return np.asarray(forward(inputs)), np.asarray(forward(np.pad(inputs, ((0, 0), (0, 40)))))


@pytest.mark.parametrize("name", ["transformer", slow("linear"), slow("local"), slow("performer")])
def test_the_reference_has_the_published_number_of_parameters(name):
    kind = encoders.single(name)
    assert draw.parameters(kind(vocab_size=17, num_classes=10, **LISTOPS)) == 8_948_746
    assert draw.parameters(kind(vocab_size=17, num_classes=10, classifier_pool="MEAN", **LISTOPS)) == 8_948_234
    assert draw.parameters(kind(vocab_size=257, num_classes=2, **TEXT)) == 20_089_858


def test_the_count_follows_its_closed_form():
    V, D, Q, M, N, C = 17, 12, 8, 20, 3, 10
    expected = V * D + D + N * (4 * D * Q + 2 * D * M + M + D + 4 * D) + 2 * D + (D * M + M) + (M * C + C)
    kind = TransformerEncoder(V, C, emb_dim=D, num_heads=2, num_layers=N, qkv_dim=Q, mlp_dim=M, max_len=32)
    assert draw.parameters(kind) == expected


@pytest.mark.parametrize("name", MIXERS)
def test_padding_does_not_change_the_logits(name):
    short, long = logits_of(name)
    assert short.shape == (4, 10)
    assert np.abs(long - short).max() <= 1e-5


def test_padding_does_not_change_the_logits_of_a_mean_with_learned_positions():
    short, long = logits_of("linear", ("classifier_pool", "MEAN"), ("learn_pos_emb", True))
    assert np.abs(long - short).max() <= 1e-5


@pytest.mark.parametrize("name", MIXERS)
def test_the_order_of_tokens_matters(name):
    short, _ = logits_of(name)
    assert np.abs(short[0] - short[-1]).max() > 1e-4


@pytest.mark.parametrize("name", [n if n in ("performer", "s5") else slow(n) for n in encoders.SINGLE])
def test_a_row_of_padding_gives_finite_logits_and_gradients(name):
    model, inputs = small(name), draw.tokens([20, 0], 20)
    variables = draw.variables(model, inputs)

    def loss(params):
        return jnp.square(model.apply(variables | {"params": params}, inputs, train=False)).sum()

    value, gradient = jax.jit(jax.value_and_grad(loss))(variables["params"])
    assert np.isfinite(value)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_without_classifier_the_states_come_back():
    model = small("transformer", classifier=False)
    shape = jax.eval_shape(lambda x: model.init_with_output(draw.RNGS, x, train=False)[0], np.zeros((2, 30), np.int32))
    assert shape.shape == (2, 30, 16)


def qkv(length: int = 64, heads: int = 2, dim: int = 8) -> list[np.ndarray]:
    draws = np.random.default_rng(3)
    return [draws.standard_normal((2, length, heads, dim)).astype(np.float32) for _ in range(3)]


def weighted(weights_BHLK: np.ndarray, v_BKHP: np.ndarray) -> np.ndarray:
    return np.einsum("bhlk,bkhp->blhp", weights_BHLK / weights_BHLK.sum(-1, keepdims=True), v_BKHP)


def test_linear_attention_equals_explicit_weights():
    q, k, v = qkv()
    mask = np.arange(64) < np.array([64, 23])[:, None]
    phi = lambda x: np.where(x > 0, x + 1, np.exp(np.minimum(x, 0)))
    weights = np.einsum("blhp,bkhp->bhlk", phi(q).astype(np.float64), phi(k)) * mask[:, None, None]
    assert np.abs(attention.linear(q, k, v, mask, None) - weighted(weights, v)).max() <= 1e-5


def test_local_attention_equals_softmax_under_a_block_mask():
    q, k, v = qkv()
    mask = np.arange(64) < np.array([64, 23])[:, None]
    same = np.arange(64)[:, None] // 10 == np.arange(64) // 10
    allowed = same & mask[:, None, None]
    weights = np.exp(np.einsum("blhp,bkhp->bhlk", q.astype(np.float64), k) / np.sqrt(8)) * allowed
    got = np.asarray(attention.local(q, k, v, mask, lambda x: x, block=10))
    real = np.broadcast_to(mask[..., None, None], got.shape)
    with np.errstate(invalid="ignore"):
        expected = weighted(weights, v)
    assert np.abs(got - expected)[real].max() <= 1e-5


def test_local_attention_with_a_block_of_the_whole_length_is_softmax():
    q, k, v = qkv()
    mask = np.arange(64) < np.array([64, 23])[:, None]
    same = lambda x: x
    full = attention.softmax(q, k, v, mask, same)
    assert np.abs(attention.local(q, k, v, mask, same, block=100) - full).max() <= 1e-5


def test_random_features_estimate_softmax_attention(monkeypatch):
    q, k, v = (0.5 * x for x in qkv())
    mask = np.arange(64) < np.array([64, 23])[:, None]
    exact = np.asarray(attention.softmax(q, k, v, mask, lambda x: x))
    near = np.abs(attention.performer(q, k, v, mask, None) - exact).mean()
    many = np.random.default_rng(0).standard_normal((4096, 8)).astype(np.float32)
    monkeypatch.setattr(attention, "_directions", lambda dim: many)
    nearer = np.abs(attention.performer(q, k, v, mask, None) - exact).mean()
    assert nearer < 0.25 * near
    assert nearer < 0.02


def test_sinusoids_start_with_zero_and_one_and_take_odd_dims():
    table = parts.sinusoids(5, 7)
    assert (table[0] == [0, 1, 0, 1, 0, 1, 0]).all()
    assert table[3, 2] == pytest.approx(np.sin(3 / 10000 ** (2 / 7)), abs=1e-6)


def test_flatten_pool_sees_zeros_at_padding():
    states = np.ones((1, 3, 2), np.float32)
    mask = np.array([[True, True, False]])
    assert parts.pooled(states, mask, parts.Pool.FLATTEN).tolist() == [[1, 1, 1, 1, 0, 0]]
    assert parts.pooled(states, mask, parts.Pool.SUM).tolist() == [[2, 2]]


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("transformer", {"classifier_pool": "mean"}, "classifier_pool = 'mean': choose one of CLS, MEAN, SUM, FLATTEN"),
        ("mamba2", {}, "2 \\* emb_dim = 32 is no multiple of num_heads = 3"),
        ("linear", {}, "qkv_dim = 16 is no multiple of num_heads = 3"),
        ("s5", {"ssm_init": "random"}, "ssm_init = 'random'"),
    ],
)
def test_wrong_options_are_named(name, options, message):
    model = small(name, **options)
    with pytest.raises(ValueError, match=message):
        draw.parameters(model.clone(num_heads=3) if name in ("mamba2", "linear") else model)


def test_an_unknown_encoder_is_told_the_nearest_name():
    with pytest.raises(ValueError, match='did you mean "transformer"'):
        encoders.single("transfomer")
    with pytest.raises(ValueError, match="valid: transformer, linear"):
        encoders.dual("bert")
