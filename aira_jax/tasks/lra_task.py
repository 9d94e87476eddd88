"""The scripts of the Long Range Arena tasks (and of recall and needle): prepare, label, evaluate.

A candidate is a model.py. `check` reads it as text; `fit` trains it on the train rows in a sandbox and answers rows
without labels; `score` compares the answers. Only `fit` runs the candidate's code, and only it imports jax.
"""

import contextlib
import csv
import dataclasses
import io
import math
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aira_jax.tasks import evaluation, fitting, lra_source, preparation
from aira_jax.tasks.evaluation import Arguments, CandidateError, EvaluatorError, Failure, Score, Stage, SubmissionError
from lra import contract
from lra import globals as lra_globals
from lra import settings as lra_settings
from lra.failures import CandidateFault, Kind
from lra.settings import Settings

if TYPE_CHECKING:
    from lra.data import store
    from lra.job import Job, Report

METRIC = "Accuracy"
PUBLIC_SEED = 0
MODEL = "model.py"
COLUMN = "file"
REPORT = "evaluation_report.json"
PREDICTIONS, FIT, RUN = "predictions.npy", "fit.json", "run"
CORPORA = {task: kind for kind, task in lra_source.TASKS.items()}
_MAX_BYTES = 2**20
_SHAPES = re.compile(r"shape|\brank\b|broadcast|dimension|dot_general", re.IGNORECASE)
_FAILURES = {
    Kind.SYNTAX: Failure.SYNTAX,
    Kind.IMPORT: Failure.IMPORT,
    Kind.CONFIG: Failure.INTERFACE,
    Kind.MISSING_CLASS: Failure.INTERFACE,
    Kind.INTERFACE: Failure.INTERFACE,
    Kind.SHAPE: Failure.SHAPE,
    Kind.OOM_PREFLIGHT: Failure.OOM,
    Kind.OOM: Failure.OOM,
    Kind.NAN: Failure.NAN,
    Kind.TIMEOUT: Failure.TIMEOUT,
}


@dataclasses.dataclass(frozen=True)
class Task:
    """Which task of `lra` a folder (that of evaluate.py) poses, and whether its candidates choose the settings."""

    name: str
    folder: Path
    configurable: bool = False

    @property
    def profiles(self) -> tuple[str, ...]:
        return tuple(profile for task, profile in lra_settings.PROFILES if task == self.name)

    def source(self, raw: Path | None = None) -> lra_source.Choice | None:
        """The raw data of the task, None where its rows are generated."""
        return lra_source.choose(CORPORA[self.name], raw) if self.name in CORPORA else None


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A model.py as text, and what it chooses."""

    path: Path
    source: str
    settings: Settings
    warnings: tuple[str, ...]


def prepare(task: Task, argv: Sequence[str] | None = None) -> int:
    """prepare.py: writes what the agent may see. Raw data are found as lra_source.py says."""
    arguments = preparation.parse(argv, profiles=task.profiles)
    from aira_jax.tasks import lra_data

    def write(dataset: "store.Dataset") -> None:
        lra_data.write_agent(arguments.mount, dataset, profile=arguments.profile, self_reported=arguments.self_reported)

    return _prepared(task, arguments, write)


def evaluate_prepare(task: Task, argv: Sequence[str] | None = None) -> int:
    """evaluate_prepare.py: writes the rows of one split that are scored, and their labels for the evaluator only."""
    arguments = preparation.parse(argv, profiles=task.profiles)
    from aira_jax.tasks import lra_data

    def write(dataset: "store.Dataset") -> None:
        lra_data.write_labels(arguments.mount, dataset, profile=arguments.profile, split=arguments.split)
        preparation.copy_submission(arguments, MODEL)

    return _prepared(task, arguments, write)


def evaluate(task: Task, argv: Sequence[str] | None = None) -> int:
    """evaluate.py: trains the submitted model from scratch and scores it. Returns the exit code.

    By hand (stage all) the details go to evaluation_report.json unless --result-file names another place.
    """
    argv = sys.argv[1:] if argv is None else argv
    arguments = evaluation.parse(argv, submission=MODEL, profiles=task.profiles)
    if arguments.stage is Stage.ALL and arguments.result_file is None:
        argv = [*argv, f"--result-file={arguments.workdir / REPORT}"]
    return evaluation.run(
        METRIC,
        submission=MODEL,
        profiles=task.profiles,
        check=lambda path: check(task, path, arguments.profile),
        fit=lambda arguments, candidate: fit(task, arguments, candidate),
        score=lambda arguments, candidate: score(task, arguments, candidate),
        argv=argv,
    )


def _prepared(task: Task, arguments: preparation.Arguments, write: Callable[["store.Dataset"], None]) -> int:
    """Makes the data set and runs `write`; what is wrong with the raw data ends with a message and exit 2."""
    try:
        with _dataset(task, arguments.profile, arguments.raw) as dataset:
            _keep_apart(arguments.mount, dataset.folder)
            write(dataset)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


@contextlib.contextmanager
def _dataset(task: Task, profile: str, raw: Path | None) -> Iterator["store.Dataset"]:
    """The whole data set, in a folder that is removed afterwards."""
    from aira_jax.tasks import lra_data

    choice = task.source(raw)
    if choice is not None and not choice.files and profile in lra_source.STAND_IN_PROFILES:
        print(f"{lra_source.VARIABLE} names no data: {choice.description} stand in", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="lra-data-") as folder:
        seed = preparation.data_seed(PUBLIC_SEED)
        yield lra_data.make(task.name, profile, seed, choice, Path(folder) / "data")


def _keep_apart(mount: Path, source: Path) -> None:
    if mount.resolve().is_relative_to(source.resolve()):
        raise ValueError(f"--agent-data-mount-dir={mount} lies inside the data set {source}; choose another folder")


def check(task: Task, path: Path, profile: str) -> Candidate:
    """Reads a submission without running it. Raises SubmissionError that says how to mend it."""
    path = _named_by(path) if path.suffix == ".csv" else path
    source = _text(path)
    try:
        contract.check_source(source, task.name)
        settings, warnings = lra_globals.read(source, task.name, configurable=task.configurable, profile=profile)
    except CandidateFault as fault:
        message = f"{path.name}: {fault.message}"
        raise SubmissionError(message, failure=_failure(fault), extra=_told(fault)) from fault
    for warning in warnings:
        print(f"warning: {path.name}: {warning}", file=sys.stderr)
    return Candidate(path, source, settings, tuple(warnings))


def _named_by(path: Path) -> Path:
    """The file that submission.csv names in its only column, `file`."""
    rows = [row for row in csv.reader(io.StringIO(_text(path))) if row]
    if len(rows) != 2 or rows[0] != [COLUMN] or len(rows[1]) != 1:
        raise SubmissionError(f"{path.name}: the header {COLUMN} and one row naming {MODEL} are expected")
    name = Path(rows[1][0])
    if name.is_absolute() or ".." in name.parts:
        raise SubmissionError(f"{path.name} row 1: {name} must lie beside {path.name} or below")
    return path.parent / name


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SubmissionError(f"{path.name}: {error.strerror}; the submission is one file, {MODEL}") from error
    if len(content) > _MAX_BYTES:
        raise SubmissionError(f"{path.name}: {len(content)} bytes, at most {_MAX_BYTES} are read")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        problem = f"{path.name}: byte {error.start} is not UTF-8: save it as UTF-8"
        raise SubmissionError(problem, failure=Failure.SYNTAX) from error


def _failure(fault: CandidateFault) -> Failure:
    """The class of the harness: eight instead of twelve."""
    if fault.kind is Kind.INIT and _SHAPES.search(fault.message):
        return Failure.SHAPE
    return _FAILURES.get(fault.kind, Failure.EXIT)


def _told(fault: CandidateFault) -> dict[str, Any]:
    return {"kind": str(fault.kind), "details": fault.details}


def fit(task: Task, arguments: Arguments, candidate: Candidate) -> Score:
    """Trains on the train rows and answers the rows of a split: logits [rows, classes] in --workdir/predictions.npy."""
    import numpy as np

    from aira_jax.tasks import lra_data

    lra_data.check_profile(arguments.data_dir, arguments.profile)
    rows = lra_data.inputs(arguments.data_dir, arguments.split)
    job = _job(
        task,
        candidate,
        arguments.profile,
        data=arguments.data_dir / "train",
        workdir=arguments.workdir / RUN,
        seed=arguments.seed,
        limit_s=arguments.time_limit_s,
    )
    curve: list[list[float]] = []
    report, logits_NC = _trained(job, rows, curve)
    np.save(arguments.workdir / PREDICTIONS, logits_NC)
    facts = {**_facts(report), "curve": curve}
    evaluation.write_json(arguments.workdir / FIT, facts)
    return Score(math.nan, **facts)


def train_and_score(
    task: str, model: str | Path = MODEL, *, data_dir: str | Path = "data", configurable: bool = False
) -> float:
    """An agent's own measurement: trains a model.py on the train rows, scores it on the validation rows.

    Needs validation labels in `data_dir`, which are there only when the search is steered by what candidates measure
    themselves. Returns the accuracy in [0, 1]. Raises SubmissionError, EvaluatorError or CandidateError.
    """
    import numpy as np

    from aira_jax.tasks import lra_data
    from lra.data import store

    data_dir = Path(data_dir)
    profile = lra_data.manifest(data_dir)["profile"]
    candidate = check(Task(task, Path(), configurable), Path(model), profile)
    rows = store.open(data_dir / "validation", task).split("validation")
    if rows.targets_N is None:
        raise EvaluatorError(
            f"{data_dir / 'validation'} has no labels: they are there only when the search takes the candidate's "
            "own measurement as its fitness (fitness=self_reported)"
        )
    with tempfile.TemporaryDirectory(prefix="run-", dir=".") as folder:
        job = _job(Task(task, Path()), candidate, profile, data=data_dir / "train", workdir=Path(folder) / RUN)
        _, logits_NC = _trained(job, rows, [])
    return float(np.mean(logits_NC.argmax(axis=1) == rows.targets_N))


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

    def on_row(row: Mapping[str, Any]) -> None:
        if row["kind"] == "train":
            curve.append([row["step"], row["loss"]])

    try:
        report = train.run(job, on_row=on_row)
        return report, train.predict(report.trained, rows)
    except CandidateFault as fault:
        raise CandidateError(_failure(fault), fault.message, _told(fault)) from fault


def _facts(report: "Report") -> dict[str, Any]:
    """What a fit says about itself."""
    kept = ("steps_per_s", "tokens_per_s", "peak_memory_bytes", "params_vs_transformer", "compile_s", "train_rows")
    return {
        "train_s": report.wall_s,
        "device_s": report.wall_s + report.compile_s,
        "n_params": report.params,
        "steps": report.steps,
        "extra": {key: getattr(report, key) for key in kept} | {"warnings": list(report.warnings)},
    }


def score(task: Task, arguments: Arguments, candidate: Candidate) -> Score:
    """The accuracy of the answers; stage all lets a sandbox give them first."""
    if arguments.stage is Stage.SCORE:
        return _compared(arguments, candidate, arguments.data_dir, arguments.workdir)
    with (
        _mounted(task, arguments) as data,
        fitting.fitted(_fit(task, arguments, candidate, data), arguments) as product,
    ):
        return _compared(arguments, candidate, data, product)


def _compared(arguments: Arguments, candidate: Candidate, data: Path, product: Path) -> Score:
    """Reads what a fit wrote, which nobody vouches for, and scores its answers."""
    import numpy as np

    from aira_jax.tasks import lra_data

    labels = lra_data.read_labels(data, profile=arguments.profile, split=arguments.split)
    answers_N = _answers(product / PREDICTIONS, len(labels.targets_N), labels.classes)
    correct = int(np.sum(answers_N == labels.targets_N))
    facts = _believable(evaluation.read_result(product / FIT) or {})
    told = facts.pop("extra")
    verdicts = lra_data.verdicts(correct, labels)
    print("\n".join(f"{labels.label}, {arguments.split}: {line}" for line in verdicts.values()), file=sys.stderr)
    known = {
        "data": labels.label,
        "surrogate": labels.surrogate,
        "train_rows": labels.train_rows,
        "scored_rows": len(answers_N),
        "settings": dataclasses.asdict(candidate.settings),
        "baselines": dict(labels.baselines),
        "verdicts": verdicts,
        "warnings": list(candidate.warnings),
    }
    return Score(correct / len(answers_N), **facts, extra={"fit": told, **known})


def _answers(path: Path, rows: int, classes: int):
    """The class of each row: int64 [rows]. Raises CandidateError for anything but finite logits [rows, classes]."""
    import numpy as np

    try:
        logits_NC = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise CandidateError(Failure.EXIT, f"the fit left no readable {path.name} ({error})") from error
    if logits_NC.shape != (rows, classes) or logits_NC.dtype.kind != "f":
        found = f"{logits_NC.dtype} {list(logits_NC.shape)}"
        raise CandidateError(Failure.SHAPE, f"{path.name} holds {found}, floats [{rows}, {classes}] expected")
    if not np.isfinite(logits_NC).all():
        raise CandidateError(Failure.NAN, f"{path.name} holds logits that are not finite")
    return logits_NC.argmax(axis=1)


def _believable(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a Score that a fit claims, each only if it has the right type."""

    def number(key: str, kind: type) -> Any:
        value = facts.get(key)
        return value if type(value) in (int, kind) and _is_believable(value) else None

    curve, extra = facts.get("curve"), facts.get("extra")
    return {
        "train_s": number("train_s", float) or 0.0,
        "device_s": number("device_s", float) or 0.0,
        "n_params": number("n_params", int),
        "steps": number("steps", int),
        "curve": curve if isinstance(curve, list) and all(map(_is_point, curve)) else [],
        "extra": extra if isinstance(extra, dict) else {},
    }


def _is_point(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(x) in (int, float) for x in value)


def _is_believable(value: float) -> bool:
    return -1e18 < value < 1e18  # false for NaN


def _fit(task: Task, arguments: Arguments, candidate: Candidate, data: Path) -> fitting.Fit:
    """The fit by hand, under the limits of metadata.yaml. It sees ./data without the folders of labels."""
    from aira_jax.tasks import loader

    limits = loader.load_folder(task.folder).limits
    folders = [path for path in sorted(data.iterdir()) if path.is_dir()]
    secret = [path for path in folders if path.name.endswith("_with_labels")]
    choice = task.source()
    return fitting.Fit(
        script=task.folder / "evaluate.py",
        artifact=MODEL,
        files={MODEL: candidate.source},
        data=[path for path in folders if path not in secret],
        hidden=[*secret, *(choice.files if choice else ()), *([arguments.data_dir] if _is_store(arguments) else [])],
        limit_s=arguments.time_limit_s or float(limits["fit_s"]),
        memory_gb=float(limits["memory_gb"]),
    )


@contextlib.contextmanager
def _mounted(task: Task, arguments: Arguments) -> Iterator[Path]:
    """./data as the scripts of the task prepare it; made for this evaluation alone where there is none.

    --data-dir may also name a whole data set of scripts/lra_data.py.
    """
    if arguments.data_dir.exists() and not _is_store(arguments):
        yield arguments.data_dir
        return
    from aira_jax.tasks import lra_data
    from lra.data import store

    if not arguments.data_dir.exists():
        print(f"{arguments.data_dir} does not exist: making the data anew", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="lra-mount-") as folder:
        try:
            whole = _is_store(arguments) and contextlib.nullcontext(store.open(arguments.data_dir, task.name))
            with whole or _dataset(task, arguments.profile, None) as dataset:
                lra_data.write_agent(Path(folder), dataset, profile=arguments.profile)
                lra_data.write_labels(Path(folder), dataset, profile=arguments.profile, split=arguments.split)
        except ValueError as error:
            raise EvaluatorError(str(error)) from error
        yield Path(folder)


def _is_store(arguments: Arguments) -> bool:
    return (arguments.data_dir / "meta.json").is_file()
