"""The scripts of the Compose tasks on MAD: prepare, label, evaluate, and an agent's own measurement.

Numpy and jax are imported when they are needed: the static check of a submission needs neither.
"""

import dataclasses
import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aira_jax import patterns
from aira_jax.patterns import Pattern
from aira_jax.proxies import fidelity
from aira_jax.tasks import evaluation, preparation
from aira_jax.tasks.compose import scoring
from aira_jax.tasks.compose.space import SUBMISSION, PatternSpace, require_one_stage, scaled
from aira_jax.tasks.evaluation import Arguments, Score

if TYPE_CHECKING:
    from aira_jax.proxies.result import ProxyResult
    from aira_jax.tasks.compose.mad_data import Data

METRIC = "Accuracy"
PUBLIC_SEED = 12345
PROFILES = tuple(fidelity.PRESETS)


def prepare(argv: Sequence[str] | None = None) -> int:
    """prepare.py: writes what the agent may see. MAD is generated, so nothing is read."""
    arguments = preparation.parse(argv, profiles=PROFILES)
    return preparation.ending(lambda: write_agent(arguments))


def evaluate_prepare(argv: Sequence[str] | None = None) -> int:
    """evaluate_prepare.py: writes the labels of one split, which only the evaluator may see."""
    arguments = preparation.parse(argv, profiles=PROFILES)

    def write() -> None:
        write_labels(arguments)
        preparation.copy_submission(arguments, SUBMISSION)

    return preparation.ending(write)


def write_agent(arguments: preparation.Arguments, part: str = "") -> None:
    """What the agent may see of MAD; `part` names its folder where a task has several data sets."""
    from aira_jax.tasks.compose import mad_data

    mad_data.write_agent(
        arguments.mount,
        profile=arguments.profile,
        seed=preparation.data_seed(PUBLIC_SEED),
        self_reported=arguments.self_reported,
        part=part,
    )


def write_labels(arguments: preparation.Arguments, part: str = "") -> None:
    """The labels of one split."""
    from aira_jax.tasks.compose import mad_data

    seed = preparation.data_seed(PUBLIC_SEED)
    mad_data.write_labels(arguments.mount, profile=arguments.profile, seed=seed, split=arguments.split, part=part)


def evaluate(space: PatternSpace, argv: Sequence[str] | None = None) -> int:
    """evaluate.py: trains the submitted pattern from scratch and scores it. Returns the exit code."""
    score = functools.partial(_score, space)
    return evaluation.run(METRIC, submission=SUBMISSION, profiles=PROFILES, check=space.read, score=score, argv=argv)


def train_and_score(
    architecture: str | Pattern, *, data_dir: str | Path = "data", seed: int = 0, cache_dir: str | Path = ".cache"
) -> float:
    """An agent's own measurement: trains a pattern on the train rows, scores it on the validation rows.

    A text is read as a pattern without options. Needs validation labels in `data_dir`, which are there only when the
    search is steered by what candidates measure themselves. Results are kept in `cache_dir`, since the evaluator's own
    cache is out of an agent's reach. Returns the mean accuracy in [0, 1]. Raises PatternError, EvaluatorError or
    CandidateError.
    """
    from aira_jax.tasks.compose import mad_data

    pattern = patterns.parse(architecture) if isinstance(architecture, str) else architecture
    data, profile = mad_data.read_self_reported(Path(data_dir))
    result = train(pattern, profile, data, seed, evaluation.Split.VALIDATION, cache_dir=Path(cache_dir))
    return scoring.score(result, result.score).value


def _score(space: PatternSpace, arguments: Arguments, pattern: Pattern) -> Score:
    require_one_stage(arguments)
    result = train(pattern, arguments.profile, data(arguments), arguments.seed, arguments.split)
    score = scoring.score(result, result.score)
    return dataclasses.replace(score, extra={**score.extra, **space.facts(pattern)})


def data(arguments: Arguments, part: str = "") -> "Data":
    """The mounted data, or where there are none, the same rows drawn anew."""
    from aira_jax.tasks.compose import mad_data

    if arguments.data_dir.exists():
        return mad_data.read(arguments.data_dir, profile=arguments.profile, split=arguments.split, part=part)
    seed = preparation.data_seed(PUBLIC_SEED)
    origin = "the public seed" if seed == PUBLIC_SEED else preparation.HIDDEN_SEED
    print(f"{arguments.data_dir} does not exist: generating the rows from {origin}", file=sys.stderr)
    return mad_data.Data(mad_data.make(arguments.profile, seed), seed)


def train(
    pattern: Pattern, profile: str, data: "Data", seed: int, split: evaluation.Split, cache_dir: Path | None = None
) -> "ProxyResult":
    """Trains and scores a pattern, unless the cache has the result."""
    from aira_jax.proxies import evaluator

    return evaluator.evaluate(
        pattern,
        preset=scaled(fidelity.get(profile), pattern),
        datasets=data.datasets,
        data_seed=data.seed,
        eval_seed=seed,
        split=split.value,
        cache_dir=cache_dir,
    )
