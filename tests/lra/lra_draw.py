"""What the tests of LRA models share: token rows, parameters without a compiled `init`, counts by shape."""

import jax
import jax.numpy as jnp
import numpy as np

RNGS = {"params": jax.random.key(0), "dropout": jax.random.key(1)}


def tokens(lengths: list[int], width: int, vocab: int = 17, seed: int = 0) -> np.ndarray:
    """[rows, width] int32: random tokens, then zeros."""
    draws = np.random.default_rng(seed).integers(1, vocab, (len(lengths), width), dtype=np.int32)
    return np.where(np.arange(width) < np.array(lengths)[:, None], draws, 0)


def parameters(model, sequences: int = 1) -> int:
    """The number of parameters, by shape inference."""
    inputs = [jax.ShapeDtypeStruct((1, 8), jnp.int32)] * sequences
    shapes = jax.eval_shape(lambda *x: model.init(RNGS, *x, train=False), *inputs)
    return sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))


def variables(model, *inputs: np.ndarray, scale: float = 0.3) -> dict:
    """Variables of the right shapes drawn by numpy: parameters N(0, scale), eigenvalues that decay, unit variances."""
    return _drawn(jax.eval_shape(lambda *x: model.init(RNGS, *x, train=False), *inputs), scale)


def variables_of(mixer, *inputs: np.ndarray, scale: float = 0.3) -> dict:
    """As `variables`, of a module without a train keyword."""
    return _drawn(jax.eval_shape(lambda *x: mixer.init(RNGS, *x), *inputs), scale)


def _drawn(shapes, scale: float) -> dict:
    draws = np.random.default_rng(5)

    def value(path, leaf):
        name = path[-1].key
        drawn = scale * draws.standard_normal(leaf.shape).astype(np.float32)
        if path[0].key == "batch_stats":
            return np.ones_like(drawn) if name == "var" else drawn
        return -np.abs(drawn) if name == "Lambda_re" else drawn

    return jax.tree_util.tree_map_with_path(value, shapes)
