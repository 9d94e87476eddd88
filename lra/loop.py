"""Updates, and what happens between them: rows of metrics, the validation subset, checkpoints, limits, signals."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from lra import memory, metrics
from lra.checkpoints import Checkpoints
from lra.clock import Clock
from lra.failures import CandidateFault, Kind
from lra.job import Job
from lra.metrics_log import MetricsLog
from lra.rows import Rows
from lra.state import State
from lra.steps import Programs, Trained

LOG_EVERY = 10  # updates
OnRow = Callable[[Mapping[str, Any]], None]


class Interrupted(Exception):
    """A signal ended the run after `step` updates, which are saved; the same job continues it."""

    def __init__(self, step: int, number: int):
        super().__init__(f"stopped by {signal.Signals(number).name} after update {step}, which is saved")
        self.step, self.number = step, number


class Loop:
    """One run's updates. Metrics are fetched one update late, so that the devices never wait for the host."""

    def __init__(
        self, job: Job, rows: Rows, programs: Programs, checkpoints: Checkpoints, log: MetricsLog, clock: Clock
    ):
        self.job, self.rows, self.programs, self.checkpoints = job, rows, programs, checkpoints
        self.log, self.clock = log, clock
        self.warnings: list[str] = []
        self._last_loss: float | None = None
        self._signal: int | None = None
        self._late: tuple[int, Mapping[str, jax.Array]] | None = None

    def run(self, state: State) -> State:
        """The state after the last update. Raises: CandidateFault (nan, timeout), Interrupted."""
        settings, steps = self.job.settings, self.programs.steps
        with _listening(self._hear):
            self.clock.go()
            for update in range(self.clock.first, settings.num_train_steps):
                batch = self.rows.train.batch_at(settings.random_seed, update, settings.batch_size, settings.max_length)
                state, values = self.programs.update(state, steps.place(batch))
                self._settle()
                self._late = (update + 1, values)
                if self._stops(update + 1):
                    state = self._between(update + 1, state)
        return state

    def _stops(self, done: int) -> bool:
        return self._evaluates(done) or self._saves(done)

    def _evaluates(self, done: int) -> bool:
        return done % self.job.settings.eval_frequency == 0 or done == self.job.settings.num_train_steps

    def _saves(self, done: int) -> bool:
        last = done == self.job.settings.num_train_steps
        return done % self.job.save_every == 0 or last or self._signal is not None

    def _between(self, done: int, state: State) -> State:
        self._settle()
        self.clock.pause()
        if self._evaluates(done) and len(self.rows.subset):
            state = self._evaluate(done, state)
        if self._saves(done):
            self.checkpoints.save(done, state)
        if self._signal is not None and done < self.job.settings.num_train_steps:
            raise Interrupted(done, self._signal)
        self.clock.go()
        return state

    def _settle(self) -> None:
        """Fetches the metrics of the update before, and judges them."""
        if self._late is None:
            return
        (step, values), self._late = self._late, None
        values = jax.device_get(values)
        if not values.pop("finite"):
            raise self._not_finite(step, values)
        self._last_loss = float(values["loss"])
        self.clock.done = step
        if step == 1 or step % LOG_EVERY == 0 or self._evaluates(step):
            self._write_update(step, values)
        self._forecast()
        self.clock.check()

    def _not_finite(self, step: int, values: Mapping[str, Any]) -> CandidateFault:
        last = "none before" if self._last_loss is None else f"last finite loss {self._last_loss:.4g}"
        return CandidateFault(
            Kind.NAN,
            f"update {step}: loss {float(values['loss']):g}, gradient norm {float(values['grad_norm']):g} ({last}, "
            f"learning rate {float(values['lr']):.3g}): lower LR, or bound what the model divides or exponentiates",
            update=step,
            last_finite_loss=self._last_loss,
            learning_rate=float(values["lr"]),
        )

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
            peak_bytes=memory.peak_bytes(),
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

    def _forecast(self) -> None:
        on_cpu = self.programs.steps.devices[0].platform == "cpu"
        if self.clock.forecast_due and on_cpu and self.job.profile == "paper":
            hours = self.clock.eta_s / 3600
            self.warnings.append(f"profile paper is meant for a GPU: on this CPU about {hours:.1f} h remain")
            self.log.tell({"kind": "warning", "step": self.clock.done, "text": self.warnings[-1]})

    def _hear(self, number: int) -> None:
        self._signal = number


@contextlib.contextmanager
def _listening(hear: Callable[[int], None]) -> Iterator[None]:
    """SIGTERM and SIGINT reach `hear` instead of ending the process (in the main thread, where they arrive)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda got, frame: hear(got)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
