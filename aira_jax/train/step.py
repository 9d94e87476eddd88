"""The state of a run, one update of it as a pure function, and that update compiled for a layout of devices."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from aira_jax.train.sharding import Layout, shardings

Loss = Callable[[Any], tuple[jax.Array, tuple[Mapping[str, jax.Array], Mapping[str, Any]]]]
"""params -> (loss, (scalars to log, fields of the state to replace))."""


@flax.struct.dataclass
class State:
    """What every checkpoint holds; `step` counts finished updates. Derive from it to store more."""

    step: jax.Array
    params: Any
    opt_state: Any


def create(params: Any, optimizer: optax.GradientTransformation, kind: type[State] = State, **more: Any) -> Any:
    """The state before the first update."""
    return kind(step=jnp.zeros((), jnp.int32), params=params, opt_state=optimizer.init(params), **more)


def stream(seed: int, number: int, step: jax.Array | int | None = None) -> jax.Array:
    """The key of one stream of a run; with `step`, that stream's key at one update."""
    key = jax.random.fold_in(jax.random.key(seed), number)
    return key if step is None else jax.random.fold_in(key, step)


def update(state: Any, loss: Loss, optimizer: optax.GradientTransformation, rate: Any) -> tuple[Any, dict[str, Any]]:
    """One update by the gradient of `loss`, and its metrics; see `apply_gradients`."""
    (value, (measured, changed)), grads = jax.value_and_grad(loss, has_aux=True)(state.params)
    return apply_gradients(state, value, grads, measured, changed, optimizer, rate)


def apply_gradients(
    state: Any,
    loss: jax.Array,
    grads: Any,
    measured: Mapping[str, jax.Array],
    changed: Mapping[str, Any],
    optimizer: optax.GradientTransformation,
    rate: Any,
) -> tuple[Any, dict[str, Any]]:
    """The state after one update, and scalars: loss, what was measured, lr, grad_norm, finite.

    `rate` (update -> learning rate) is for the record; the optimizer has its own.
    """
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    norm = optax.tree.norm(grads)
    finite = jnp.isfinite(loss) & jnp.isfinite(norm)
    metrics = {"loss": loss, **measured, "lr": rate(state.step), "grad_norm": norm, "finite": finite}
    params = optax.apply_updates(state.params, updates)
    return state.replace(step=state.step + 1, params=params, opt_state=opt_state, **changed), metrics


@dataclasses.dataclass(frozen=True)
class Step:
    """`create()` makes the state before the first update, `update(state, batch)` gives (state, scalar metrics).

    Both are traced. The state's placement follows `layout.rule` and needs nothing computed.
    """

    create: Callable[[], Any]
    update: Callable[[Any, Any], tuple[Any, Any]]
    layout: Layout

    @functools.cached_property
    def shapes(self) -> Any:
        """Shapes, dtypes and shardings of the state: what a checkpoint is restored into, on whatever mesh."""
        return self.layout.state(jax.eval_shape(self.create))

    def initial(self) -> Any:
        """The state before the first update, on the devices."""
        return jax.jit(self.create, out_shardings=shardings(self.shapes))()

    @functools.cached_property
    def jitted(self) -> Any:
        """The update under jax.jit: (state, batch) -> (state, metrics); the state is donated."""
        return jax.jit(self.update, donate_argnums=0, out_shardings=(shardings(self.shapes), self.layout.whole))

    def lower(self, batch: Any) -> jax.stages.Lowered:
        """The update for a batch of these shapes."""
        return self.jitted.lower(self.shapes, self.layout.batch_shapes(batch))
