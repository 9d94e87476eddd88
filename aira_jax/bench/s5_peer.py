"""The public S5 repository's own training step, at its ListOps configuration, from a local checkout.

Its code is imported and called as it stands; names that newer versions of jax dropped are put back first.
Source: https://github.com/lindermanlab/S5 (MIT), s5/train_helpers.py, bin/run_experiments/run_lra_listops.sh.
B batch, L length.
"""

import functools
import importlib
import importlib.util
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from flax.training import train_state

STATES, BLOCKS, WIDTH, LAYERS, CLASSES, VOCABULARY = 16, 8, 128, 8, 10, 20
_SSM = ("Lambda_re", "Lambda_im", "log_step", "norm")  # at the small rate, without weight decay


def step(checkout: Path, batch: int, length: int) -> tuple[Callable[[], Any], int]:
    """A call that does one update on random tokens, and the number of parameters.

    Raises: ValueError when `checkout` does not hold the repository.
    """
    if not (checkout / "s5" / "train_helpers.py").is_file():
        raise ValueError(f"{checkout} holds no s5/train_helpers.py: name a checkout of github.com/lindermanlab/S5")
    _shims()
    sys.path.insert(0, str(checkout))
    try:
        ssm, init, models, helpers = (
            importlib.import_module(f"s5.{name}") for name in ("ssm", "ssm_init", "seq_model", "train_helpers")
        )
    finally:
        sys.path.remove(str(checkout))
    kind = models.BatchClassificationModel(
        ssm=_layer(ssm, init),
        d_output=CLASSES,
        d_model=WIDTH,
        n_layers=LAYERS,
        padded=True,
        activation="half_glu2",
        dropout=0.0,
        training=True,
        mode="pool",
        prenorm=True,
        batchnorm=True,
        bn_momentum=0.95,
    )
    draws = np.random.default_rng(0)
    one_hot_BLV = jax.nn.one_hot(draws.integers(1, VOCABULARY, (batch, length)), VOCABULARY)
    inputs = (one_hot_BLV, jnp.full((batch,), float(length)))
    labels, times = jnp.asarray(draws.integers(0, CLASSES, batch), jnp.float32), jnp.ones((batch, length))
    held = [_state(kind, inputs, times)]
    size = sum(leaf.size for leaf in jax.tree.leaves(held[0].params))

    def update() -> Any:
        held[0], loss = helpers.train_step(held[0], jax.random.key(0), inputs, labels, times, kind, True)
        return loss

    return update, size


def _shims() -> None:
    for module, name, value in ((jnp, "DeviceArray", jax.Array), (jax, "tree_leaves", jax.tree.leaves)):
        if not hasattr(module, name):
            setattr(module, name, value)
    if importlib.util.find_spec("tqdm") is None:
        sys.modules["tqdm"] = types.SimpleNamespace(tqdm=lambda values: values)


def _layer(ssm: Any, init: Any) -> Any:
    """The state-space layer as run_train.py makes it: block-diagonal HiPPO, one half of conjugate pairs."""
    size = STATES // BLOCKS
    eigenvalues, _, _, vectors, _ = init.make_DPLR_HiPPO(size)
    half = size // 2
    eigenvalues, vectors = eigenvalues[:half], vectors[:, :half]
    whole = jax.scipy.linalg.block_diag(*([vectors] * BLOCKS))
    inverse = jax.scipy.linalg.block_diag(*([vectors.conj().T] * BLOCKS))
    repeated = np.tile(np.asarray(eigenvalues), BLOCKS)
    return ssm.init_S5SSM(
        H=WIDTH,
        P=STATES // 2,
        Lambda_re_init=jnp.asarray(repeated.real),
        Lambda_im_init=jnp.asarray(repeated.imag),
        V=whole,
        Vinv=inverse,
        C_init="lecun_normal",
        discretization="zoh",
        dt_min=0.001,
        dt_max=0.1,
        conj_sym=True,
        clip_eigs=False,
        bidirectional=True,
    )


class _State(train_state.TrainState):
    batch_stats: Any


def _state(kind: nn.Module, inputs: Any, times: jax.Array) -> _State:
    rngs = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    variables = jax.jit(functools.partial(kind.init, rngs))(inputs, times)

    def group(path: tuple, _: Any) -> str:
        return "ssm" if any(getattr(key, "key", "") in _SSM for key in path) else "regular"

    transforms = {
        "ssm": optax.inject_hyperparams(optax.adam)(learning_rate=1e-3),
        "regular": optax.inject_hyperparams(optax.adamw)(learning_rate=3e-3, weight_decay=0.04),
    }
    groups = jax.tree_util.tree_map_with_path(group, variables["params"])
    optimizer = optax.multi_transform(transforms, groups)
    return _State.create(
        apply_fn=kind.apply, params=variables["params"], tx=optimizer, batch_stats=variables["batch_stats"]
    )
