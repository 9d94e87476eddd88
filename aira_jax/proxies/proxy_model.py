"""The model that a proxy trains: an arrangement, run by a layer program, between the wrapper's two ends.

B rows, T length, V vocabulary.
"""

import dataclasses
from collections import Counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from aira_jax.models.autoencoder import AutoEncoder
from aira_jax.models.language_model import LanguageModel
from aira_jax.primitives.attention import AttentionImpl
from aira_jax.primitives.block import Small
from aira_jax.primitives.linear import LinearInit
from aira_jax.proxies.compile_cache import Compiler
from aira_jax.proxies.engines import Engine, LayerProgram
from aira_jax.proxies.fidelity import DType, Preset

Tree = Any
_QUICK = {"xla_backend_optimization_level": "1"}  # the initialisation runs once


@dataclasses.dataclass(frozen=True)
class Setup:
    """How an arrangement is computed; no field changes a result beyond rounding.

    At most `micro` rows go through the model at a time: the gradient of a batch is the sum over them.
    """

    engine: Engine = Engine.UNROLLED
    micro: int = 32
    attention: AttentionImpl = AttentionImpl.BLOCKED
    ssd_impl: str = "auto"


@dataclasses.dataclass(frozen=True)
class ProxyModel:
    """A wrapper without blocks, and the program that runs the blocks in its middle.

    Parameters are {"wrapper": .., "layers": ..}; both parts are made by `initial_params`.
    """

    wrapper: LanguageModel | AutoEncoder
    program: LayerProgram

    def logits(self, params: Tree, tables: dict[str, jax.Array], tokens_BT: jax.Array) -> jax.Array:
        """[B, T, V] float32."""
        wrapper = {"params": params["wrapper"]}
        x_BTD = self.wrapper.apply(wrapper, tokens_BT, method="embed")
        x_BTD = self.program.run(params["layers"], tables, x_BTD)
        return self.wrapper.apply(wrapper, x_BTD, method="decode")

    def initial_params(self, seed: int, vocab: int, compiler: Compiler) -> Tree:
        """Host arrays. Rows and columns of tokens beyond `vocab` are zero: masked logits never change them.

        A layer's values depend on the seed, its position and its primitive alone: equal layers of two patterns start
        alike. `compiler` gets the programs that draw the values.
        """
        key, layers = jax.random.key(seed), self.program.layers

        def draw(f, *about):
            program = compiler(jax.jit(f), key, about=("initial", *about), **_QUICK)
            return jax.tree.map(np.asarray, program.call(key))

        def ends(key, vocab=vocab):
            tokens = jnp.zeros((1, 2), jnp.int32)
            return self.wrapper.clone(vocab=vocab).init(jax.random.fold_in(key, 0), tokens)["params"]

        def every_layer(primitive):
            block, x = self.program.primitives.block(primitive), jnp.zeros((1, 2, self.program.primitives.dim))
            return lambda key: jax.vmap(lambda position: block.init(jax.random.fold_in(key, position), x)["params"])(
                1 + jnp.arange(len(layers))
            )

        stacked = {}
        for primitive in sorted(set(layers)):
            own = [i for i, p in enumerate(layers) if p == primitive]
            stacked[primitive] = jax.tree.map(
                lambda leaf, own=own: leaf[own],
                draw(every_layer(primitive), self.program.primitives, primitive, len(layers)),
            )
        full = jax.eval_shape(lambda key: ends(key, self.wrapper.vocab), key)
        return {
            "wrapper": jax.tree.map(_padded, draw(ends, self.wrapper, vocab), full),
            "layers": self.program.pack(stacked),
        }

    def parameters(self) -> int:
        """How many numbers the model learns; nothing is drawn for it."""

        def size(module, x) -> int:
            return sum(leaf.size for leaf in jax.tree.leaves(jax.eval_shape(module.init, jax.random.key(0), x)))

        primitives, counts = self.program.primitives, Counter(self.program.layers)
        x_BLD = jnp.zeros((1, 2, primitives.dim))
        blocks = sum(n * size(primitives.block(primitive), x_BLD) for primitive, n in counts.items())
        return blocks + size(self.wrapper, jnp.zeros((1, 2), jnp.int32))


def build(preset: Preset, layers: tuple[str, ...], *, autoencoder: bool, vocab: int, setup: Setup) -> ProxyModel:
    """The model of `layers` at a preset's size: an AutoEncoder for compression, else a LanguageModel."""
    primitives = Small(
        preset.d,
        activation=preset.activation,
        attention=setup.attention,
        ssd_impl=setup.ssd_impl,
        init=LinearInit.NORMAL if autoencoder else LinearInit.FAN_IN,
        dtype="float32" if preset.dtype is DType.FP32 else "bfloat16",
    )
    wrapper = (AutoEncoder if autoencoder else LanguageModel)(primitives, (), vocab)
    return ProxyModel(wrapper, LayerProgram(setup.engine, primitives, layers))


def _padded(array: np.ndarray, full: jax.ShapeDtypeStruct) -> np.ndarray:
    return np.pad(array, [(0, wide - narrow) for narrow, wide in zip(array.shape, full.shape, strict=True)])
