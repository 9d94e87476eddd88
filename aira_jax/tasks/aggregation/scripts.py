"""The scripts of the aggregation task: prepare, label, evaluate, and an agent's own measurement.

The agent sees a ledger of small searches and hands in one base pattern and how to scale it; the evaluator trains what
comes out, half as large again as the models of the ledger, on MAD rows that nobody saw: those of validation and of test
are drawn from two seeds of their own. Beside the score stands that of the statistical aggregation's answer.

    train/       ledger.csv; aggregates.csv, what the published votes elect; manifest.json
    validation/  manifest.json (with the seed of its rows where the agent measures itself)
    test/        manifest.json
    validation_with_labels/, test_with_labels/   manifest.json with the seed of the rows: evaluator only

Numpy and jax are imported when they are needed: the static check of a submission needs neither.
"""

import argparse
import csv
import dataclasses
import functools
import hashlib
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aira_jax import patterns
from aira_jax.core.files import write_json
from aira_jax.patterns import Pattern
from aira_jax.proxies import fidelity
from aira_jax.tasks import evaluation, manifests, preparation
from aira_jax.tasks.aggregation import ledger_source, scaled_submission
from aira_jax.tasks.aggregation.scaled_submission import TARGET, Scaling, Submission
from aira_jax.tasks.compose import on_mad, scoring
from aira_jax.tasks.compose.space import SUBMISSION, require_one_stage
from aira_jax.tasks.evaluation import Arguments, EvaluatorError, Score, Split
from aira_jax.tasks.manifests import LABELS, MANIFEST

if TYPE_CHECKING:
    from aira_jax.compose.ledger import Ledger
    from aira_jax.proxies.result import ProxyResult

METRIC = on_mad.METRIC
PROFILES = on_mad.PROFILES
FORMAT = 1
LEDGER, AGGREGATES = "ledger.csv", "aggregates.csv"


def prepare(folder: Path, argv: Sequence[str] | None = None) -> int:
    """prepare.py: writes the ledger and what the published votes make of it. `--runs` names runs or a table."""
    arguments, runs = _parsed(argv)
    return preparation.ending(lambda: _write_agent(arguments, _ledger(folder, arguments.raw, runs)))


def evaluate_prepare(argv: Sequence[str] | None = None) -> int:
    """evaluate_prepare.py: writes the seed of the rows of one split."""
    arguments = preparation.parse(argv, profiles=PROFILES)

    def write() -> None:
        manifest = _manifest(arguments.profile) | {"seed": _seed(arguments.split)}
        write_json(arguments.mount / LABELS[arguments.split] / MANIFEST, manifest)
        preparation.copy_submission(arguments, SUBMISSION)

    return preparation.ending(write)


def evaluate(folder: Path, argv: Sequence[str] | None = None) -> int:
    """evaluate.py: scales the submitted base, trains it from scratch and scores it. Returns the exit code."""
    check, score = scaled_submission.read, functools.partial(_score, folder)
    return evaluation.run(METRIC, submission=SUBMISSION, profiles=PROFILES, check=check, score=score, argv=argv)


def train_and_score(
    architecture: str,
    scaling: str,
    *,
    data_dir: str | Path = "data",
    seed: int = 0,
    cache_dir: str | Path = ".cache",
) -> float:
    """An agent's own measurement of a base: the accuracy on the validation rows once it is scaled.

    Needs their seed in `data_dir`, which is there only when the search is steered by what candidates measure
    themselves. Raises ValueError, EvaluatorError or CandidateError.
    """
    submission = scaled_submission.scale(patterns.parse(architecture), Scaling(scaling))
    manifest = manifests.read(Path(data_dir) / "validation", format=FORMAT)
    if "seed" not in manifest:
        raise EvaluatorError(
            f"{Path(data_dir) / 'validation'} has no seed: it is there only when the search takes the candidate's own "
            "measurement as its fitness (fitness=self_reported)"
        )
    result = _train(submission.scaled, manifest["profile"], manifest["seed"], seed, Split.VALIDATION, Path(cache_dir))
    return scoring.score(result, result.score).value


def _parsed(argv: Sequence[str] | None) -> tuple[preparation.Arguments, list[str]]:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--runs", default="")
    own, rest = parser.parse_known_args(argv)
    arguments = preparation.parse(rest, profiles=PROFILES)
    return arguments, own.runs.split(",") if own.runs else []


def _ledger(folder: Path, raw: Path | None = None, runs: Sequence[str] = ()) -> "Ledger":
    """The ledger of --runs, of the environment, of the raw data, or the one that comes with the task."""
    from aira_jax.compose import ledger

    choice = ledger_source.of(list(runs), where="--runs") if runs else ledger_source.choose(raw=raw)
    if choice.runs:
        from aira_jax.runs import ledgers

        return ledgers.from_runs(choice.runs)
    if choice.table is None:
        print(f"{ledger_source.VARIABLE} is not set: ledger: builtin ({folder / LEDGER})", file=sys.stderr)
    return ledger.read(choice.table or folder / LEDGER)


def _write_agent(arguments: preparation.Arguments, ledger: "Ledger") -> None:
    order = list(fidelity.PRESETS)
    preset = ledger.preset.partition(",")[0]
    if preset in order and order.index(preset) > order.index(arguments.profile):
        print(f"the ledger is of {preset}, above the fidelity {arguments.profile} that will score", file=sys.stderr)
    train, manifest = arguments.mount / "train", _manifest(arguments.profile)
    write_json(train / MANIFEST, manifest | {"ledger_preset": ledger.preset, "ledger": list(ledger.notes)})
    (train / LEDGER).write_text(ledger.to_csv(), encoding="utf-8")
    (train / AGGREGATES).write_text(_aggregates(ledger), encoding="utf-8")
    own = {"seed": _seed(Split.VALIDATION)} if arguments.self_reported else {}
    write_json(arguments.mount / "validation" / MANIFEST, manifest | own)
    write_json(arguments.mount / "test" / MANIFEST, manifest)


def _aggregates(ledger: "Ledger") -> str:
    """Every pattern that the usual votes elect: who elects it, and the rule that brings it closest to the target."""
    from aira_jax.compose import ledger as ledgers

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("architecture", "scaling", "scaled", "in_ledger", "elected_by"))
    for outcome in ledgers.outcomes(ledger):
        best = scaled_submission.closest(outcome.pattern)
        by = "; ".join(f"{selection} {method}" for selection, method in outcome.elected_by)
        writer.writerow((best.base.pretty(), best.scaling, best.scaled.canonical(), outcome.evaluated, by))
    return out.getvalue()


def _manifest(profile: str) -> dict[str, Any]:
    return {"format": FORMAT, "profile": profile, "target_parameters": TARGET}


def _seed(split: Split) -> int:
    """Of the rows of a split: another one than that of the searches, and none tells another."""
    base = preparation.data_seed(on_mad.PUBLIC_SEED)
    return int.from_bytes(
        hashlib.sha256(f"aggregation {split} {base}".encode()).digest()[:4]
    )  # legacy generators take 32 bits


def _score(folder: Path, arguments: Arguments, submission: Submission) -> Score:
    require_one_stage(arguments)
    ledger, seed = _mounted(folder, arguments)
    from aira_jax.compose import ledger as ledgers
    from aira_jax.proxies.result import TaskStatus

    train = functools.partial(_train, profile=arguments.profile, data_seed=seed, seed=arguments.seed)
    baseline = scaled_submission.closest(ledgers.statistical_base(ledger))
    result = train(submission.scaled, split=arguments.split)
    score = scoring.score(result, result.score)
    reference = train(baseline.scaled, split=arguments.split)
    compared = {
        "submission": _told(submission),
        "baseline": _told(baseline) | {"accuracy": reference.score, "status": reference.status.value},
        "gain": result.score - reference.score if reference.status is TaskStatus.OK else None,
        "ledger_preset": ledger.preset,
    }
    return dataclasses.replace(score, extra={**score.extra, **compared})


def _mounted(folder: Path, arguments: Arguments) -> tuple["Ledger", int]:
    """The ledger and the seed of the rows in the data folder; without one, those of the environment."""
    from aira_jax.compose import ledger

    data = arguments.data_dir
    if not data.exists():
        print(f"{data} does not exist: taking the ledger and the seed from the environment", file=sys.stderr)
        try:
            return _ledger(folder), _seed(arguments.split)
        except ValueError as error:
            raise EvaluatorError(str(error)) from error
    manifest = manifests.read(data / LABELS[arguments.split], format=FORMAT)
    if manifest["profile"] != arguments.profile:
        raise EvaluatorError(
            f"{data} was prepared for profile {manifest['profile']}, not {arguments.profile}: "
            f"use --profile={manifest['profile']} or prepare the data again"
        )
    try:
        return ledger.read(data / "train" / LEDGER), manifest["seed"]
    except (OSError, ValueError) as error:
        raise EvaluatorError(f"{error}: prepare the data again") from error


def _train(
    pattern: Pattern, profile: str, data_seed: int, seed: int, split: Split, cache_dir: Path | None = None
) -> "ProxyResult":
    from aira_jax.tasks.compose import mad_data

    data = mad_data.Data(mad_data.make(profile, data_seed), data_seed)
    return on_mad.train(pattern, profile, data, seed, split, cache_dir)


def _told(submission: Submission) -> dict[str, Any]:
    return {
        "base": submission.base.canonical(),
        "scaling": submission.scaling.value,
        "scaled": submission.scaled.canonical(),
        "layers": len(submission.scaled),
        "deviation": round(submission.deviation, 4),
    }
