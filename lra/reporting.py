"""What a finished run tells: report.json, plots, and one sentence per cheap baseline whether the model beats it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import kernels_pallas
from aira_jax.core import files
from aira_jax.train.clock import Clock
from aira_jax.train.memory import peak_bytes
from aira_jax.train.metrics import read
from lra import designs, diagnostics, plots, settings, workdir
from lra.job import Accuracies, Job, Report, ScoreParams
from lra.rows import Rows, cut_share
from lra.steps import Programs, Trained

CUT_AS_PUBLISHED = ("text", "retrieval")  # tasks whose rows lose their end by design; elsewhere it is a mistake


def doubts(job: Job, rows: Rows) -> list[str]:
    """Warnings about the data of a job."""
    meta, found = rows.dataset.meta, []
    share = cut_share(rows.train, job.settings.max_length)
    if share and job.task not in CUT_AS_PUBLISHED:
        found.append(
            f"{share:.0%} of the rows are longer than max_length {job.settings.max_length} and lose their end: "
            f"use data made for profile {job.profile}, or another profile"
        )
    if rows.seen:
        found.append("train_on=full: the model trains on the validation rows, whose accuracy thus shows nothing new")
    if meta.surrogate:
        found.append(f"the data are a surrogate: {meta.label}; no score on them compares with published ones")
    return found


def write(
    job: Job,
    rows: Rows,
    programs: Programs,
    params: int,
    trained: Trained,
    accuracies: Mapping[ScoreParams, Accuracies | None],
    clock: Clock,
) -> Report:
    """Makes the report and writes report.json and the plots."""
    meta, chosen = rows.dataset.meta, accuracies[job.score_params]
    metrics = list(read(job.workdir / workdir.METRICS))
    pace = clock.steps_per_s if clock.updates else _logged_pace(metrics)
    tokens = job.settings.batch_size * job.settings.max_length * (2 if meta.pair else 1)
    found = _diagnostics(job, rows, chosen)
    report = Report(
        task=job.task,
        validation_accuracy=chosen.validation_accuracy,
        test_accuracy=chosen.test_accuracy,
        steps=job.settings.num_train_steps,
        params=params,
        steps_per_s=pace,
        tokens_per_s=pace * tokens,
        peak_memory_bytes=peak_bytes(),
        data=meta.label,
        surrogate=meta.surrogate,
        model=job.model_name,
        profile=job.profile,
        settings=dataclasses.asdict(job.settings),
        params_vs_transformer=params / transformer_params(job),
        train_rows=len(rows.train),
        score_params=job.score_params,
        train_on=job.train_on,
        final=accuracies[ScoreParams.FINAL],
        best=accuracies[ScoreParams.BEST],
        preflight=programs.preflight,
        compile_s=programs.compile_s,
        wall_s=clock.wall_s,
        diagnostics=found,
        published=tuple(_published(job)),
        kernels=tuple(kernels_pallas.chosen()),
        warnings=job.warnings,
        trained=trained,
    )
    files.write_json(job.workdir / workdir.REPORT, report.to_json(), indent=2)
    levels = {row["name"]: row["accuracy"] for row in found.get("validation", {}).get("baselines", ())}
    plots.write(job.workdir / workdir.PLOTS, plots.plots(metrics, f"{meta.label}, {report.model}", levels))
    return report


def _logged_pace(rows: list[dict[str, Any]]) -> float:
    """Updates per second as last logged, for a run that had nothing left to train."""
    return next((row["steps_per_s"] for row in reversed(rows) if "steps_per_s" in row), 0.0)


def _diagnostics(job: Job, rows: Rows, chosen: Accuracies) -> dict[str, Any]:
    """Per labelled split: the baselines, and a sentence for each that says whether the model beats it."""
    measured = {"validation": chosen.validation_accuracy, "test": chosen.test_accuracy}
    found = {}
    for name, accuracy in measured.items():
        if accuracy is not None:
            baselines = diagnostics.baselines(rows.dataset, name, job.settings.max_length)
            found[name] = {
                "baselines": [dataclasses.asdict(baseline) for baseline in baselines],
                "verdicts": [diagnostics.verdict(accuracy, baseline.rows, baseline) for baseline in baselines],
            }
    return found


def _published(job: Job) -> list[dict[str, Any]]:
    """Published scores of the design on this task, to stand beside what was measured here."""
    rows = [row for row in designs.PUBLISHED if row.task == job.task]
    if job.path is None:
        return [dataclasses.asdict(row) for row in rows if row.design == job.model]
    return [dataclasses.asdict(row) for row in rows if designs.path(row.design) == job.path.resolve()]


def transformer_params(job: Job) -> int:
    """Parameters of the reference transformer (CLS pool; no interaction for pairs) with the same settings."""
    s, info = job.settings, settings.task_info(job.task)
    width, hidden = s.emb_dim, s.mlp_dim
    block = 4 * width * s.qkv_dim + 2 * width * hidden + hidden + width + 4 * width
    body = info.vocab * width + s.num_layers * block + 2 * width
    if not info.pair:
        return body + width + (width + 1) * hidden + (hidden + 1) * info.classes
    half = hidden // 2
    return body + (2 * width + 1) * hidden + (hidden + 1) * half + (half + 1) * info.classes
