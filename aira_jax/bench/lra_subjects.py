"""What is timed: a training step of any model at any settings, on random tokens.

B batch, T length.
"""

import dataclasses
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from lra import designs, model, network, renaming
from lra.job import Job, Recipe
from lra.settings import TASKS, Settings
from lra.steps import Programs, Steps


@dataclasses.dataclass(frozen=True)
class Subject:
    """A compiled model with a batch. `tokens` are the positions of a batch, padding included."""

    programs: Programs
    batch: Mapping[str, np.ndarray]
    params: int

    @property
    def tokens(self) -> int:
        return sum(value.size for name, value in self.batch.items() if name.startswith("inputs"))

    def step(self) -> Callable[[], Any]:
        """A call that does one update, from a host batch to a new state."""
        steps = self.programs.steps
        held = [steps.step.initial()]

        def update() -> Any:
            held[0], metrics = self.programs.update(held[0], steps.place(self.batch))
            return metrics

        return update


def subject(
    task: str, name: str, settings: Settings, options: Mapping[str, Any] | None = None, *, exported: bool = False
) -> Subject:
    """A design or an encoder by name, compiled; `exported`: from its programs on disk, under secret names, as an
    evaluation of generated rows trains it.
    """
    job = Job(task, Path(), name, settings, "paper", Path(), dict(options or {}), Recipe())
    kind = model.load(designs.path(name), task) if job.path else model.named(name, task)
    net = model.build(kind, task, settings, job.options)
    probe = model.probe(net, task, settings)
    trained: network.Network = network.Linen(net, task, settings.max_length)
    if exported:
        with tempfile.TemporaryDirectory() as folder:
            network.export(net, task, settings, Path(folder))
            trained = renaming.renamed(network.load(Path(folder), task, settings), task, "0" * 16)
    programs = Steps(job, trained, tuple(jax.local_devices()[:1])).compile()
    return Subject(programs, tokens(task, settings), probe.params)


def tokens(task: str, settings: Settings) -> dict[str, np.ndarray]:
    """A batch of random tokens without padding: the dearest one."""
    info, draws = TASKS[task], np.random.default_rng(0)
    shape = (settings.batch_size, settings.max_length)
    names = ("inputs1", "inputs2") if info.pair else ("inputs",)
    batch = {name: draws.integers(1, info.vocab, shape, dtype=np.int32) for name in names}
    return batch | {"targets": draws.integers(0, info.classes, shape[0], dtype=np.int32)}
