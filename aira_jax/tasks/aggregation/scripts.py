"""evaluate.py of the aggregation task, and an agent's own measurement.

The agent sees a ledger of small searches and hands in one base pattern and how to scale it; the evaluator trains what
comes out, half as large again as the models of the ledger, on MAD rows that nobody saw: those of validation and of test
are drawn from two seeds of their own. Beside the score stands that of the statistical aggregation's answer.

Numpy and jax are imported when they are needed: the static check of a submission needs neither.
"""

import dataclasses
import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aira_jax import patterns
from aira_jax.patterns import Pattern
from aira_jax.tasks import evaluation, manifests
from aira_jax.tasks.aggregation import preparing, scaled_submission
from aira_jax.tasks.aggregation.preparing import FORMAT, LEDGER, PROFILES
from aira_jax.tasks.aggregation.scaled_submission import Scaling, Submission
from aira_jax.tasks.compose import scoring
from aira_jax.tasks.compose.proxies import Data, Mad
from aira_jax.tasks.compose.scripts import train
from aira_jax.tasks.compose.space import SUBMISSION, require_one_stage
from aira_jax.tasks.evaluation import Arguments, EvaluatorError, Score, Split
from aira_jax.tasks.manifests import LABELS

if TYPE_CHECKING:
    from aira_jax.compose.ledger import Ledger
    from aira_jax.proxies.result import ProxyResult

METRIC = Mad.metric


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
        raise manifests.withheld(Path(data_dir) / "validation", "seed")
    result = _train(submission.scaled, manifest["profile"], manifest["seed"], seed, Split.VALIDATION, Path(cache_dir))
    return scoring.score(result, result.score).value


def _score(folder: Path, arguments: Arguments, submission: Submission) -> Score:
    require_one_stage(arguments)
    ledger, seed = _mounted(folder, arguments)
    from aira_jax.compose import ledger as ledgers
    from aira_jax.proxies.result import TaskStatus

    trained = functools.partial(_train, profile=arguments.profile, data_seed=seed, seed=arguments.seed)
    baseline = scaled_submission.closest(ledgers.statistical_base(ledger))
    result = trained(submission.scaled, split=arguments.split)
    score = scoring.score(result, result.score)
    reference = trained(baseline.scaled, split=arguments.split)
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
            return preparing.ledger_of(folder), preparing.row_seed(arguments.split)
        except ValueError as error:
            raise EvaluatorError(str(error)) from error
    manifest = manifests.read(data / LABELS[arguments.split], format=FORMAT)
    manifests.check_profile(data, manifest, arguments.profile)
    try:
        return ledger.read(data / "train" / LEDGER), manifest["seed"]
    except (OSError, ValueError) as error:
        raise EvaluatorError(f"{error}: prepare the data again") from error


def _train(
    pattern: Pattern, profile: str, data_seed: int, seed: int, split: Split, cache_dir: Path | None = None
) -> "ProxyResult":
    from aira_jax.tasks.compose import mad_data

    data = Data(mad_data.make(profile, data_seed), data_seed)
    return train(Mad(), pattern, profile, data, seed, split, cache_dir)


def _told(submission: Submission) -> dict[str, Any]:
    return {
        "base": submission.base.canonical(),
        "scaling": submission.scaling.value,
        "scaled": submission.scaled.canonical(),
        "layers": len(submission.scaled),
        "deviation": round(submission.deviation, 4),
    }
