"""The compiled programs of a run: placed on the devices, compiled once, measured before they run.

The batch axis is sharded over all local devices, parameters are replicated. B batch, C classes.
"""

import dataclasses
import functools
import time
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from aira_jax.train import sharding
from aira_jax.train.step import Step
from lra import limits, optimizer
from lra import state as states
from lra.data import store
from lra.job import Job, Preflight
from lra.network import Linen, Network
from lra.settings import TASKS


@dataclasses.dataclass(frozen=True)
class Steps:
    """A network's programs for one job; `compile` first."""

    job: Job
    network: Network
    devices: tuple[jax.Device, ...]

    @functools.cached_property
    def step(self) -> Step:
        settings, recipe = self.job.settings, self.job.recipe
        adamw = optimizer.make(settings, recipe)
        rate, seed = optimizer.rate(settings, recipe), settings.random_seed
        create = functools.partial(states.create, self.network, seed, adamw)
        update = functools.partial(states.update, self.network, adamw, rate, seed)
        return Step(create, update, sharding.Layout(sharding.mesh_of(self.devices)))

    def place(self, batch: Mapping[str, np.ndarray]) -> dict[str, jax.Array]:
        """A host batch on the devices, split along B."""
        return self.step.layout.place(dict(batch))

    def lower_update(self, batch: int) -> jax.stages.Lowered:
        return self.step.lower({**self._inputs(batch), "targets": jax.ShapeDtypeStruct((batch,), jnp.int32)})

    def lower_logits(self, batch: int) -> jax.stages.Lowered:
        layout, shapes = self.step.layout, self.step.shapes
        jitted = jax.jit(self.network.logits, out_shardings=layout.split)
        inputs = layout.batch_shapes(tuple(self._inputs(batch).values()))
        return jitted.lower(shapes.params, shapes.batch_stats, inputs)

    def compile(self) -> "Programs":
        """Compiles update and logits and refuses what does not fit. Raises: CandidateFault (oom_preflight)."""
        started = time.perf_counter()
        batch = self.job.settings.batch_size
        update, logits = (lower(batch).compile() for lower in (self.lower_update, self.lower_logits))
        seconds = time.perf_counter() - started
        fit = Preflight(
            need_bytes=limits.need_bytes(update),
            limit_bytes=limits.limit_bytes(self.devices[0], self.job.memory_limit),
            evaluation_bytes=limits.need_bytes(logits),
        )
        most = max(fit.need_bytes, fit.evaluation_bytes)
        need_at = self._need_at if isinstance(self.network, Linen) else None  # programs have one batch size
        limits.refuse(most, fit.limit_bytes, self.job.settings, need_at, devices=len(self.devices))
        best = jax.jit(states.keep_best, donate_argnums=0, out_shardings=self.step.layout.whole)
        return Programs(self, update, logits, best, fit, seconds)

    def _need_at(self, batch: int) -> int:
        return limits.need_bytes(self.lower_update(batch).compile())

    def _inputs(self, batch: int) -> dict[str, jax.ShapeDtypeStruct]:
        names = ("inputs1", "inputs2") if TASKS[self.job.task].pair else ("inputs",)
        return {name: jax.ShapeDtypeStruct((batch, self.job.settings.max_length), jnp.int32) for name in names}


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
            placed = self.programs.steps.step.layout.place(inputs)
            parts.append((self.programs.logits(self.params, self.batch_stats, placed), real))
        return np.concatenate([np.asarray(logits_BC)[:real] for logits_BC, real in parts])
