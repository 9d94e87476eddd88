"""What a run does between updates: rows of metrics, the validation subset, a warning on a slow machine."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from aira_jax.train.checkpoints import Checkpoints
from aira_jax.train.errors import Interrupted
from aira_jax.train.loop import Every, Hook, Loop
from aira_jax.train.metrics import MetricsLog
from lra import limits, metrics
from lra.job import Job
from lra.rows import Rows
from lra.state import State
from lra.steps import Programs, Trained

__all__ = ["Interrupted", "Run"]

LOG_EVERY = 10  # updates


class Run:
    """One job's updates."""

    def __init__(
        self, job: Job, rows: Rows, programs: Programs, checkpoints: Checkpoints, log: MetricsLog, clock: limits.Clock
    ):
        self.job, self.rows, self.programs, self.checkpoints = job, rows, programs, checkpoints
        self.log, self.clock = log, clock
        self.warnings: list[str] = []

    def train(self, state: State) -> State:
        """The state after the last update. Raises: CandidateFault (nan, timeout), Interrupted."""
        settings = self.job.settings
        evaluated = Every(settings.eval_frequency)
        hooks = [Hook(self._evaluate, evaluated)] if len(self.rows.subset) else []
        loop = Loop(
            self.programs.update,
            self._batch_at,
            self.clock,
            on_metrics=[
                Hook(self._write_update, Every(LOG_EVERY, also=(settings.eval_frequency,), first=True)),
                Hook(self._forecast, lambda step, total: self.clock.forecast_due),
            ],
            on_state=[*hooks, Hook(self.checkpoints.save, Every(self.job.save_every), on_signal=True)],
        )
        with limits.blamed():
            return loop.run(state)

    def _batch_at(self, update: int) -> dict[str, jax.Array]:
        s = self.job.settings
        rows = self.rows.train.batch_at(s.random_seed, update, s.batch_size, s.max_length)
        return self.programs.steps.place(rows)

    def _write_update(self, step: int, values: Mapping[str, Any]) -> None:
        settings, pace = self.job.settings, self.clock.steps_per_s
        documents = 1 if self.rows.train.pairs_N2 is None else 2
        tokens = settings.batch_size * settings.max_length * documents
        self._write(
            "train",
            step,
            **{key: float(values[key]) for key in ("loss", "accuracy", "lr", "grad_norm")},
            examples=step * settings.batch_size,
            epoch=step * settings.batch_size / len(self.rows.train),
            steps_per_s=pace,
            tokens_per_s=pace * tokens,
            real_tokens_per_s=pace * int(values["real_tokens"]),
            eta_s=self.clock.eta_s,
            compile_s=self.programs.compile_s,
            peak_bytes=limits.peak_bytes(),
        )

    def _evaluate(self, done: int, state: State) -> State:
        split, rows = self.rows.validation, self.rows.subset
        logits_NC = Trained(self.programs, state.params, state.batch_stats).predict(split, rows)
        loss, accuracy = metrics.scores(logits_NC, split.targets_N[rows], f"validation after update {done}")
        state = self.programs.keep_best(state, np.float32(accuracy), np.float32(loss))
        seen = {"seen": True} if self.rows.seen else {}
        best = {"best_accuracy": float(state.best_accuracy), "best_step": int(state.best_step)}
        self._write("eval", done, loss=loss, accuracy=accuracy, rows=len(rows), **best, **seen)
        return state

    def _write(self, kind: str, step: int, **values: Any) -> None:
        self.log.append({"kind": kind, "step": step, **values, "wall_s": self.clock.wall_s})

    def _forecast(self, step: int, values: Mapping[str, Any]) -> None:
        on_cpu = self.programs.steps.devices[0].platform == "cpu"
        if on_cpu and self.job.profile == "paper":
            hours = self.clock.eta_s / 3600
            self.warnings.append(f"profile paper is meant for a GPU: on this CPU about {hours:.1f} h remain")
            self.log.tell({"kind": "warning", "step": step, "text": self.warnings[-1]})
