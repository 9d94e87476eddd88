"""The training loop: a job in, a report out. Everything it writes lies in the job's workdir.

    report = train.run(job)
    logits = train.predict(report.trained, split)        # float32 [rows, classes], labels not needed

Order: data hashes, settings, import and probe of the model, compilation with the memory check, updates, whole
validation (and test where its labels are there), report. A continued run equals an uninterrupted one.
"""

import contextlib
import dataclasses
import math
import time
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np

import kernels_pallas
from aira_jax.train.checkpoints import Checkpoints
from aira_jax.train.errors import TrainingError
from aira_jax.train.metrics import FULL, MetricsLog, OnRow
from lra import limits, metrics, model, network, optimizer, reporting, settings, workdir
from lra.data import store
from lra.failures import CandidateFault, Kind
from lra.job import Accuracies, Job, Report, ScoreParams, need_data
from lra.loop import Interrupted, Run
from lra.network import Linen, Network
from lra.rows import Rows, select
from lra.state import State
from lra.steps import Programs, Steps, Trained

__all__ = ["Interrupted", "check", "export", "predict", "run"]


def run(job: Job, *, on_row: OnRow | None = None, network: Network | None = None) -> Report:
    """Trains, or continues what lies in `job.workdir`. `on_row` sees every row of metrics.jsonl as it is written.

    `network` trains in place of the job's model, whose code is then not imported.
    Raises: CandidateFault where the model is to blame; ValueError for bad data, workdir or checkpoints; Interrupted.
    """
    started = time.perf_counter()
    job, rows = _opened(job)
    with workdir.held(job.workdir), limits.blamed():
        workdir.prepare(job, job.identity(rows.dataset.meta.sha256))
        programs, params = _compiled(job, network)
        return _train(job, rows, programs, params, on_row or (lambda row: None), started)


def check(job: Job) -> dict[str, Any]:
    """Everything before the first update, and nothing written: {"params", "preflight", "warnings"}. Raises as `run`."""
    job, _ = _opened(job)
    with limits.blamed():
        programs, params = _compiled(job)
    return {"params": params, "preflight": dataclasses.asdict(programs.preflight), "warnings": list(job.warnings)}


def export(job: Job, folder: Path) -> None:
    """Imports the job's model and writes its programs (see `lra.network`); needs no data. Raises: CandidateFault."""
    with kernels_pallas.portable():
        net, _ = _built(job)
        network.export(net, job.task, job.settings, folder)


def predict(trained: Trained, split: store.Split) -> np.ndarray:
    """Logits float32 [N, C] of every row of a split, in order. Raises: CandidateFault (nan, oom)."""
    with limits.blamed():
        logits_NC = trained.predict(split)
    metrics.check_finite(logits_NC, split.name)
    return logits_NC


def _opened(job: Job) -> tuple[Job, Rows]:
    limits.keep_freed_pages()
    need_data(job.task, job.profile, job.data)
    optimizer.make(job.settings, job.recipe)  # a bad recipe is no fault of the model
    dataset = store.open(job.data, job.task)
    dataset.verify()
    rows = select(dataset, job)
    return _resolved(job, rows), rows


def _compiled(job: Job, network: Network | None = None) -> tuple[Programs, int]:
    """The job's programs, and how many parameters its model has."""
    devices = tuple(jax.local_devices())
    if network is not None:
        steps = Steps(job, network, devices)
        try:
            return steps.compile(), sum(leaf.size for leaf in jax.tree.leaves(steps.step.shapes.params))
        except (CandidateFault, TrainingError, jax.errors.JaxRuntimeError, MemoryError):
            raise
        except Exception as error:
            text = f"the exported programs do not compile: {type(error).__name__}: {error}"
            raise CandidateFault(Kind.CRASH, text[:500]) from error
    net, probe = _built(job)
    steps = Steps(job, Linen(net, job.task, job.settings.max_length), devices)
    programs = model.traced(net, "compiling a training step", steps.compile)
    return programs, probe.params


def _built(job: Job) -> tuple[nn.Module, model.Probe]:
    kind = model.named(job.model, job.task) if job.path is None else model.load(job.path, job.task)
    net = model.build(kind, job.task, job.settings, job.options)
    return net, model.probe(net, job.task, job.settings)


def _resolved(job: Job, rows: Rows) -> Job:
    """The job with its number of updates, held against the rows and devices at hand."""
    chosen, info = job.settings, settings.task_info(job.task)
    epochs = {"num_train_steps": job.recipe.epochs, "warmup": job.recipe.warmup_epochs}
    updates = len(rows.train) / chosen.batch_size
    chosen = chosen.replace(**{key: max(1, math.ceil(n * updates)) for key, n in epochs.items() if n is not None})
    found = (rows.dataset.meta.vocab, rows.dataset.meta.classes)
    if found != (info.vocab, info.classes):
        raise ValueError(f"{job.data}: vocabulary and classes {found}, {job.task} has {(info.vocab, info.classes)}")
    sizes = {"rows": len(rows.train), "devices": jax.local_device_count()}
    problems = settings.check(chosen, job.task, profile_name=job.profile, chosen={}, **sizes)
    if problems.errors:
        raise CandidateFault(Kind.CONFIG, "; ".join(problems.errors), problems=list(problems.errors))
    return dataclasses.replace(job, settings=chosen, warnings=(*job.warnings, *reporting.doubts(job, rows)))


def _train(job: Job, rows: Rows, programs: Programs, params: int, on_row: OnRow, started: float) -> Report:
    with Checkpoints(job.workdir / workdir.CHECKPOINTS) as checkpoints:
        step, first = programs.steps.step, checkpoints.latest
        state = step.initial() if first is None else checkpoints.restore(step.shapes)
        clock = limits.Clock(job.settings.num_train_steps, first or 0, job.time_limit_s, started)
        log = MetricsLog(job.workdir / workdir.METRICS, first or 0, on_row)
        with contextlib.closing(log):
            updates = Run(job, rows, programs, checkpoints, log, clock)
            state = updates.train(state)
            final, best = _candidates(programs, state)
            accuracies = {
                name: trained and _accuracies(job, rows, trained, step, name, log)
                for name, trained, step in (
                    (ScoreParams.FINAL, final, int(state.step)),
                    (ScoreParams.BEST, best, int(state.best_step)),
                )
            }
    trained = final if job.score_params is ScoreParams.FINAL else best
    job = dataclasses.replace(job, warnings=(*job.warnings, *updates.warnings))
    return reporting.write(job, rows, programs, params, trained, accuracies, clock)


def _candidates(programs: Programs, state: State) -> tuple[Trained, Trained | None]:
    """The last parameters, and those that were best on the validation subset, where there is one."""
    final = Trained(programs, state.params, state.batch_stats)
    best = Trained(programs, state.best_params, state.best_batch_stats)
    return final, best if int(state.best_step) >= 0 else None


def _accuracies(job: Job, rows: Rows, trained: Trained, step: int, name: str, log: MetricsLog) -> Accuracies:
    """Loss and accuracy on every row of the labelled splits, also written to the log."""
    found: dict[str, float] = {}
    for split in filter(None, (rows.validation, rows.test)):
        logits_NC = trained.predict(split)
        loss, accuracy = metrics.scores(logits_NC, split.targets_N, f"{split.name} after update {step}")
        found |= {f"{split.name}_loss": loss, f"{split.name}_accuracy": accuracy}
        last = job.settings.num_train_steps
        values = {"split": split.name, "params": str(name), "loss": loss, "accuracy": accuracy, "rows": len(split)}
        seen = {"seen": True} if rows.seen and split is rows.validation else {}
        log.append({"kind": FULL, "step": last, **values, **seen})
    return Accuracies(**{"step": step, "validation_accuracy": None, "validation_loss": None, **found})
