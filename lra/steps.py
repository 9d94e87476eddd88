"""The compiled programs of a run: placed on the devices, compiled once, measured before they run.

The batch axis is sharded over all local devices, parameters are replicated. B batch, C classes.
"""

import dataclasses
import functools
import time
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from lra import optimizer, preflight, schedule
from lra import state as states
from lra.data import store
from lra.job import Job, Preflight
from lra.settings import TASKS
from lra.state import State

AXIS = "data"


@dataclasses.dataclass(frozen=True)
class Steps:
    """A model's programs for one job; `compile` first."""

    job: Job
    model: nn.Module
    devices: tuple[jax.Device, ...]

    @functools.cached_property
    def optimizer(self) -> Any:
        return optimizer.make(self.job.settings, self.job.recipe)

    @functools.cached_property
    def replicated(self) -> NamedSharding:
        return NamedSharding(Mesh(np.array(self.devices), (AXIS,)), PartitionSpec())

    @functools.cached_property
    def sharded(self) -> NamedSharding:
        return NamedSharding(self.replicated.mesh, PartitionSpec(AXIS))

    def place(self, batch: Mapping[str, np.ndarray]) -> dict[str, jax.Array]:
        """A host batch on the devices, split along B."""
        return jax.device_put(dict(batch), self.sharded)

    def create(self) -> State:
        """The state before the first update, on the devices."""
        return jax.jit(self._make, out_shardings=self.replicated)()

    @functools.cached_property
    def state_shapes(self) -> State:
        """Shapes and placement of the state, nothing computed."""
        return self._placed(jax.eval_shape(self._make), self.replicated)

    def _make(self) -> State:
        settings = self.job.settings
        return states.create(self.model, self.job.task, settings.max_length, settings.random_seed, self.optimizer)

    def lower_update(self, batch: int) -> jax.stages.Lowered:
        settings, recipe = self.job.settings, self.job.recipe
        rate = schedule.schedule(
            *(recipe.factors, settings.learning_rate, settings.warmup),
            decay=recipe.decay,
            total=settings.num_train_steps,
        )
        update = functools.partial(states.update, self.model, self.optimizer, rate, settings.random_seed)
        out = (self.replicated, self.replicated)
        rows = {**self._inputs(batch), "targets": jax.ShapeDtypeStruct((batch,), jnp.int32)}
        jitted = jax.jit(update, donate_argnums=0, out_shardings=out)
        return jitted.lower(self.state_shapes, self._placed(rows, self.sharded))

    def lower_logits(self, batch: int) -> jax.stages.Lowered:
        shapes, inputs = self.state_shapes, tuple(self._inputs(batch).values())
        jitted = jax.jit(functools.partial(states.logits, self.model), out_shardings=self.sharded)
        return jitted.lower(shapes.params, shapes.batch_stats, self._placed(inputs, self.sharded))

    def compile(self) -> "Programs":
        """Compiles update and logits and refuses what does not fit. Raises: CandidateFault (oom_preflight)."""
        started = time.perf_counter()
        batch = self.job.settings.batch_size
        update, logits = (lower(batch).compile() for lower in (self.lower_update, self.lower_logits))
        seconds = time.perf_counter() - started
        fit = Preflight(
            need_bytes=preflight.need_bytes(update),
            limit_bytes=preflight.limit_bytes(self.devices[0], self.job.memory_limit),
            evaluation_bytes=preflight.need_bytes(logits),
        )
        most = max(fit.need_bytes, fit.evaluation_bytes)
        preflight.refuse(most, fit.limit_bytes, self.job.settings, self._need_at, devices=len(self.devices))
        best = jax.jit(states.keep_best, donate_argnums=0, out_shardings=self.replicated)
        return Programs(self, update, logits, best, fit, seconds)

    def _need_at(self, batch: int) -> int:
        return preflight.need_bytes(self.lower_update(batch).compile())

    def _inputs(self, batch: int) -> dict[str, jax.ShapeDtypeStruct]:
        names = ("inputs1", "inputs2") if TASKS[self.job.task].pair else ("inputs",)
        return {name: jax.ShapeDtypeStruct((batch, self.job.settings.max_length), jnp.int32) for name in names}

    @staticmethod
    def _placed(shapes: Any, sharding: NamedSharding) -> Any:
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), shapes)


@dataclasses.dataclass(frozen=True)
class Programs:
    """What `Steps.compile` made: update(state, batch) -> (state, metrics), logits(params, batch_stats, inputs)."""

    steps: Steps
    update: Any
    logits: Any
    keep_best: Any
    preflight: Preflight
    compile_s: float


@dataclasses.dataclass(frozen=True)
class Trained:
    """A model with the parameters that count, ready to predict."""

    programs: Programs
    params: Any
    batch_stats: Any

    def predict(self, split: store.Split, rows: np.ndarray | None = None) -> np.ndarray:
        """Logits float32 [N, C] of a split (labels not needed), or of the given rows of it, in their order."""
        job, parts = self.programs.steps.job, []
        for batch in split.evaluation_batches(job.settings.batch_size, job.settings.max_length, rows):
            real = int(batch["weights"].sum())
            inputs = tuple(batch[name] for name in ("inputs", "inputs1", "inputs2") if name in batch)
            placed = jax.device_put(inputs, self.programs.steps.sharded)
            parts.append((self.programs.logits(self.params, self.batch_stats, placed), real))
        return np.concatenate([np.asarray(logits_BC)[:real] for logits_BC, real in parts])
