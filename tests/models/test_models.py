"""The two proxy models: sizes, causality, decoding, and the decoder of compression."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aira_jax import patterns
from aira_jax.models.autoencoder import AutoEncoder, sinusoids
from aira_jax.models.language_model import LanguageModel
from aira_jax.primitives.block import Small
from aira_jax.primitives.linear import LinearInit


def size(tree) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize(
    "pattern, expected",
    [
        ("8(A-M)", 1_585_424),
        ("A-M-2A-2M-4(A-M)-2M", 1_650_448),  # AIRAformer-A
        ("3(2Mb-M-A)-2Mb-2M", 1_698_928),  # AIRAhybrid-B
    ],
)
def test_language_model_sizes_at_paper_shapes(pattern, expected):
    model = LanguageModel(Small(128), patterns.parse(pattern).layers, 16)
    assert size(jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 8), jnp.int32))) == expected


@pytest.fixture(scope="module")
def model_and_params():
    model = LanguageModel(Small(16), ("A", "Mb", "M"), 11)
    return model, jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 4), jnp.int32))


def test_decoding_with_caches_equals_the_whole_sequence(model_and_params):
    model, params = model_and_params
    tokens = jax.random.randint(jax.random.key(1), (3, 7), 0, 11)
    caches = model.apply(params, 3, 7, method="init_caches")
    step = jax.jit(lambda tokens, caches, t: model.apply(params, tokens, caches, t, method="step"))
    outputs = []
    for t in range(7):
        logits, caches = step(tokens[:, t], caches, t)
        outputs.append(logits)
    np.testing.assert_allclose(jnp.stack(outputs, 1), jax.jit(model.apply)(params, tokens), atol=5e-6)


def test_logits_before_a_changed_token_stay(model_and_params):
    model, params = model_and_params
    tokens = jax.random.randint(jax.random.key(1), (2, 12), 0, 11)
    changed = tokens.at[:, 8].set((tokens[:, 8] + 1) % 11)
    apply = jax.jit(model.apply)
    before, after = apply(params, tokens), apply(params, changed)
    np.testing.assert_array_equal(before[:, :8], after[:, :8])
    assert np.abs(before[:, 8:] - after[:, 8:]).max() > 1e-4


def test_initial_values_of_the_language_model():
    params = jax.jit(LanguageModel(Small(64), (), 512).init)(jax.random.key(0), jnp.zeros((1, 2), jnp.int32))["params"]
    assert abs(params["embedding"].std() / 0.02 - 1) < 0.03
    assert 0.95 < np.abs(params["head"]["kernel"]).max() * 8 <= 1
    assert not np.any(params["head"]["bias"])


def test_autoencoder_reads_the_last_position_only():
    model = AutoEncoder(Small(16, init=LinearInit.NORMAL), ("M",), 7)
    tokens = jax.random.randint(jax.random.key(1), (2, 6), 0, 7)
    params, apply = jax.jit(model.init)(jax.random.key(0), tokens), jax.jit(model.apply)
    same_end = jnp.concatenate([(tokens[:, :-1] + 1) % 7, tokens[:, -1:]], axis=1)
    np.testing.assert_array_equal(apply(params, tokens), apply(params, same_end))
    other_end = tokens.at[:, -1].set((tokens[:, -1] + 1) % 7)
    assert np.abs(apply(params, tokens) - apply(params, other_end)).max() > 1e-6


def test_every_linear_weight_of_the_autoencoder_starts_normal():
    model = AutoEncoder(Small(64, init=LinearInit.NORMAL), ("A", "M"), 16)
    params = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 4), jnp.int32))["params"]
    kernels = [leaf for path, leaf in jax.tree.leaves_with_path(params) if path[-1].key == "kernel"]
    assert len(kernels) == 4 + 2 + 3
    assert all(abs(kernel.std() / 0.02 - 1) < 0.1 and np.abs(kernel).max() > 0.05 for kernel in kernels)
    with pytest.raises(ValueError, match=r"init=LinearInit\.NORMAL"):
        AutoEncoder(Small(64), ("A",), 16).init(jax.random.key(0), jnp.zeros((1, 4), jnp.int32))


def test_sinusoids_follow_their_formula():
    table = np.asarray(sinusoids(5, 8))
    for t in range(5):
        for j in range(4):
            angle = t * math.exp(-math.log(1e4) * j / 3)
            assert table[t, j] == pytest.approx(math.sin(angle), abs=1e-6)
            assert table[t, 4 + j] == pytest.approx(math.cos(angle), abs=1e-6)
