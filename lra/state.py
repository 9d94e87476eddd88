"""The state of a run: the kit's, with running statistics and the best parameters; one update."""

from collections.abc import Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from aira_jax.train import step as kit
from aira_jax.train.schedule import Schedule
from lra import model as models
from lra import network as networks
from lra.network import Network

INIT, DROPOUT = 0, 1  # streams of the run's key


@flax.struct.dataclass
class State(kit.State):
    """best_* belong to the validation subset."""

    batch_stats: Any
    best_params: Any
    best_batch_stats: Any
    best_accuracy: jax.Array
    best_loss: jax.Array
    best_step: jax.Array


def create(network: Network, seed: int, optimizer: optax.GradientTransformation) -> State:
    """The state before the first update; jit or eval_shape it. Parameters come from fold_in(key(seed), 0)."""
    variables = network.initial(kit.stream(seed, INIT))
    params, batch_stats = variables["params"], variables.get("batch_stats", {})
    return kit.create(
        params,
        optimizer,
        State,
        batch_stats=batch_stats,
        best_params=jax.tree.map(jnp.copy, params),
        best_batch_stats=jax.tree.map(jnp.copy, batch_stats),
        best_accuracy=jnp.full((), -1.0, jnp.float32),
        best_loss=jnp.full((), jnp.inf, jnp.float32),
        best_step=jnp.full((), -1, jnp.int32),
    )


def update(
    network: Network,
    optimizer: optax.GradientTransformation,
    rate: Schedule,
    seed: int,
    state: State,
    batch: Mapping[str, jax.Array],
) -> tuple[State, dict[str, jax.Array]]:
    """One update from a batch {'inputs' (or 'inputs1', 'inputs2'), 'targets'}, and its metrics (scalars).

    Dropout at update t draws from fold_in(fold_in(key, 1), t), t from 0.
    """
    inputs, key = models.inputs_of(batch), kit.stream(seed, DROPOUT, state.step)
    targets_B = batch["targets"]
    loss, accuracy, grads, batch_stats = networks.gradient(
        network, state.params, state.batch_stats, inputs, targets_B, key
    )
    measured = {"accuracy": accuracy, "real_tokens": sum(jnp.sum(tokens > 0) for tokens in inputs)}
    changed = {"batch_stats": batch_stats}
    return kit.apply_gradients(state, loss, grads, measured, changed, optimizer, rate)


def keep_best(state: State, accuracy: jax.Array, loss: jax.Array) -> State:
    """The state with the present parameters as best ones, when accuracy is higher, or equal with a lower loss."""
    better = (accuracy > state.best_accuracy) | ((accuracy == state.best_accuracy) & (loss < state.best_loss))

    def pick(new: Any, old: Any) -> Any:
        return jax.tree.map(lambda n, o: jnp.where(better, n, o), new, old)

    return state.replace(
        best_params=pick(state.params, state.best_params),
        best_batch_stats=pick(state.batch_stats, state.best_batch_stats),
        best_accuracy=pick(accuracy, state.best_accuracy),
        best_loss=pick(loss, state.best_loss),
        best_step=pick(state.step, state.best_step),
    )
