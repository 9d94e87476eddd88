"""The state of a run: the kit's, with running statistics and the best parameters; one update, and logits of a batch.

B batch, C classes.
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax

from aira_jax.train import step as kit
from lra import model as models

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


def create(model: nn.Module, task: str, max_length: int, seed: int, optimizer: optax.GradientTransformation) -> State:
    """The state before the first update; jit or eval_shape it. Parameters come from fold_in(key(seed), 0)."""
    variables = models.initial(model, task, max_length, kit.stream(seed, INIT))
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
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    rate: Any,
    seed: int,
    state: State,
    batch: Mapping[str, jax.Array],
) -> tuple[State, dict[str, jax.Array]]:
    """One update from a batch {'inputs' (or 'inputs1', 'inputs2'), 'targets'}, and its metrics (scalars).

    Mean cross-entropy in float32. Dropout at update t draws from fold_in(fold_in(key, 1), t), t from 0.
    """
    inputs, targets_B = models.inputs_of(batch), batch["targets"]
    key = kit.stream(seed, DROPOUT, state.step)

    def loss(params: Any) -> tuple[jax.Array, tuple[dict[str, jax.Array], dict[str, Any]]]:
        variables = {"params": params, "batch_stats": state.batch_stats}
        logits_BC, batch_stats = models.apply(model, variables, inputs, dropout=key)
        logits_BC = logits_BC.astype(jnp.float32)
        losses_B = optax.softmax_cross_entropy_with_integer_labels(logits_BC, targets_B)
        accuracy = jnp.mean(logits_BC.argmax(-1) == targets_B)
        return losses_B.mean(), ({"accuracy": accuracy}, {"batch_stats": batch_stats})

    state, metrics = kit.update(state, loss, optimizer, rate)
    return state, metrics | {"real_tokens": sum(jnp.sum(tokens > 0) for tokens in inputs)}


def logits(model: nn.Module, params: Any, batch_stats: Any, inputs: tuple[jax.Array, ...]) -> jax.Array:
    """Float32 [B, C] in evaluation mode."""
    variables = {"params": params, "batch_stats": batch_stats}
    return models.apply(model, variables, inputs, dropout=None)[0].astype(jnp.float32)


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
