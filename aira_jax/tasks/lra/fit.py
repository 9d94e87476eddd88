"""The stage fit of the Long Range Arena tasks: the only one that runs a candidate's code."""

import math
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aira_jax.core.files import write_json
from aira_jax.tasks import manifests
from aira_jax.tasks.evaluation import Arguments, Isolation, Score
from aira_jax.tasks.lra.preparing import MODEL, Task
from aira_jax.tasks.lra.submission import Candidate, blamed, check

if TYPE_CHECKING:
    from lra.data import store
    from lra.job import Job, Report

PREDICTIONS, FIT, RUN, PROGRAMS = "predictions.npy", "fit.json", "run", "programs"
MEASURED = ("steps_per_s", "tokens_per_s", "peak_memory_bytes", "params_vs_transformer", "compile_s", "train_rows")


def fit(task: Task, arguments: Arguments, candidate: Candidate) -> Score:
    """Imports a model.py and exports its programs to --workdir/programs, or trains it here, as `isolation` says."""
    if arguments.isolation is Isolation.PROCESS:
        return _here(task, arguments, candidate)
    from lra import train

    with blamed():
        train.export(job(task, candidate, arguments, data=Path(), workdir=Path()), arguments.workdir / PROGRAMS)
    return Score(math.nan)


def _here(task: Task, arguments: Arguments, candidate: Candidate) -> Score:
    """Trains on the train rows and answers the rows of a split: logits [rows, classes] in --workdir/predictions.npy."""
    import numpy as np

    from aira_jax.tasks.lra import task_data

    task_data.check_profile(arguments.data_dir, arguments.profile)
    rows = task_data.inputs(arguments.data_dir, arguments.split)
    limit_s = arguments.time_limit_s
    data, workdir = arguments.data_dir / "train", arguments.workdir / RUN
    curve: list[list[float]] = []
    chosen = job(task, candidate, arguments, data=data, workdir=workdir, limit_s=limit_s)
    report, logits_NC = _trained(chosen, rows, curve)
    np.save(arguments.workdir / PREDICTIONS, logits_NC)
    found = {**facts(report), "curve": curve}
    write_json(arguments.workdir / FIT, found)
    return Score(math.nan, **found)


def train_and_score(
    task: str, model: str | Path = MODEL, *, data_dir: str | Path = "data", configurable: bool = False
) -> float:
    """An agent's own measurement: trains a model.py on the train rows, scores it on the validation rows.

    Needs validation labels in `data_dir`, which are there only when the search is steered by what candidates measure
    themselves. Returns the accuracy in [0, 1]. Raises SubmissionError, EvaluatorError or CandidateError.
    """
    import numpy as np

    from aira_jax.tasks.lra import task_data
    from lra.data import store

    data_dir = Path(data_dir)
    profile = task_data.manifest(data_dir)["profile"]
    candidate = check(Task(task, Path(), configurable), Path(model), profile)
    rows = store.open(data_dir / "validation", task).split("validation")
    if rows.targets_N is None:
        raise manifests.withheld(data_dir / "validation", "labels")
    with tempfile.TemporaryDirectory(prefix="run-", dir=".") as folder:
        job = _job(Task(task, Path()), candidate, profile, data=data_dir / "train", workdir=Path(folder) / RUN)
        _, logits_NC = _trained(job, rows, [])
    return float(np.mean(logits_NC.argmax(axis=1) == rows.targets_N))


def job(
    task: Task,
    candidate: Candidate,
    arguments: Arguments,
    *,
    data: Path,
    workdir: Path,
    limit_s: float | None = None,
) -> "Job":
    """The training of a candidate. `arguments` says seed and profile."""
    return _job(task, candidate, arguments.profile, data=data, workdir=workdir, seed=arguments.seed, limit_s=limit_s)


def _job(
    task: Task,
    candidate: Candidate,
    profile: str,
    *,
    data: Path,
    workdir: Path,
    seed: int = 0,
    limit_s: float | None = None,
) -> "Job":
    from lra.job import Job

    settings = candidate.settings
    return Job(
        task=task.name,
        data=data,
        model=str(candidate.path),
        settings=settings.replace(random_seed=settings.random_seed + seed),
        profile=profile,
        workdir=workdir,
        time_limit_s=limit_s,
        checkpoint_every=settings.num_train_steps,
        warnings=candidate.warnings,
    )


def _trained(job: "Job", rows: "store.Split", curve: list[list[float]]):
    """The report and the answers to `rows`; `curve` gets [update, training loss]."""
    from lra import train

    with blamed():
        report = train.run(job, on_row=curve_into(curve))
        return report, train.predict(report.trained, rows)


def curve_into(curve: list[list[float]]) -> Callable[[Mapping[str, Any]], None]:
    """Receives rows of metrics; `curve` gets [update, training loss]."""

    def on_row(row: Mapping[str, Any]) -> None:
        if row["kind"] == "train":
            curve.append([row["step"], row["loss"]])

    return on_row


def facts(report: "Report") -> dict[str, Any]:
    """What a fit says about itself."""
    return {
        "train_s": report.wall_s - report.compile_s,
        "device_s": report.wall_s,
        "n_params": report.params,
        "steps": report.steps,
        "extra": {key: getattr(report, key) for key in MEASURED} | {"warnings": list(report.warnings)},
    }
