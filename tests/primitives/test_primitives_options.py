"""Blocks of layers with options: their parameters are those that are told, and they compute what they say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aira_jax.patterns import options as layer_options
from aira_jax.patterns import registry
from aira_jax.primitives.block import Small
from aira_jax.proxies.engines import Engine, LayerProgram

WIDTH = 32
SOME = [
    "A[head=16;kv=2;norm=rms]",
    "M[ratio=1;norm=none]",
    "M[ratio=8;act=swiglu]",
    "Mb[expand=1;state=8]",
]


def sizes(layer, width):
    block = Small(width).block(layer)
    shapes = jax.eval_shape(block.init, jax.random.key(0), jnp.zeros((1, 2, width)))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


@pytest.mark.parametrize("layer", SOME)
def test_a_block_has_the_parameters_that_are_told(layer):
    assert sizes(layer, WIDTH) == layer_options.read(layer).parameters(WIDTH)


@pytest.mark.slow
@pytest.mark.parametrize("width", [32, 64, 128])
def test_every_block_has_the_parameters_that_are_told(width):
    for primitive in registry.tokens():
        for layer in layer_options.layers(primitive):
            assert sizes(str(layer), width) == layer.parameters(width), layer


def outputs(layer):
    x_BLD = jax.random.normal(jax.random.key(1), (2, 6, WIDTH))
    block = Small(WIDTH).block(layer)
    params = block.init(jax.random.key(0), x_BLD)
    return block, params, x_BLD


def test_a_norm_after_the_layer_bounds_what_is_added():
    block, params, x_BLD = outputs("M[norm=rms;place=post]")
    added_BLD = block.apply(params, x_BLD) - x_BLD
    np.testing.assert_allclose(jnp.sqrt(jnp.mean(added_BLD**2, -1)), 1.0, rtol=1e-3)


def test_a_block_without_a_norm_is_homogeneous():
    block, params, x_BLD = outputs("M[norm=none]")
    np.testing.assert_allclose(block.apply(params, 3 * x_BLD), 3 * block.apply(params, x_BLD), rtol=2e-4, atol=1e-5)
    assert set(params["params"]) == {"layer"}


@pytest.mark.parametrize(
    "layer", ["M[act=swiglu;norm=rms;place=post]", pytest.param("A[head=16;kv=2;place=post]", marks=pytest.mark.slow)]
)
def test_decoding_token_by_token_equals_the_call(layer):
    block, params, x_BLD = outputs(layer)
    cache = block.apply(params, *x_BLD.shape[:2], method="init_cache")
    whole = block.apply(params, x_BLD)
    for t in range(3):
        y_BD, cache = block.apply(params, x_BLD[:, t], cache, t, method="step")
        np.testing.assert_allclose(y_BD, whole[:, t], atol=2e-5)


def test_a_width_that_a_head_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="width 48 is no multiple of head=32"):
        Small(48).block("A[head=32]")


@pytest.mark.slow
@pytest.mark.parametrize("engine", [e for e in Engine if e is not Engine.UNROLLED])
def test_engines_agree_on_layers_with_options(engine):
    layers = layer_options.parse("2(A[head=16]-M[ratio=2])-A-M[norm=none]-A[kv=2;place=post]-M").layers
    config, x_BLD = Small(WIDTH), jax.random.normal(jax.random.key(1), (2, 6, WIDTH))
    stacked = {}
    for layer in set(layers):
        keys = jax.random.split(jax.random.key(len(layer)), layers.count(layer))
        drawn = [config.block(layer).init(key, x_BLD)["params"] for key in keys]
        stacked[layer] = jax.tree.map(lambda *leaves: np.stack(leaves), *drawn)

    def run(engine):
        program = LayerProgram(engine, config, layers)
        return jax.jit(program.run)(program.pack(stacked), program.tables(), x_BLD)

    np.testing.assert_allclose(run(engine), run(Engine.UNROLLED), atol=2e-5)
