"""The scripts of the Compose tasks on text: prepare, label, evaluate, and an agent's own measurement.

Numpy and jax are imported when they are needed: the static check of a submission needs neither.
"""

import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aira_jax import patterns
from aira_jax.patterns import Pattern
from aira_jax.proxies import text_corpus, text_fidelity
from aira_jax.tasks import evaluation, preparation
from aira_jax.tasks.compose import scoring
from aira_jax.tasks.compose.space import SUBMISSION, PatternSpace, require_one_stage, scaled
from aira_jax.tasks.evaluation import Arguments, EvaluatorError, Score

if TYPE_CHECKING:
    from aira_jax.proxies.result import ProxyResult
    from aira_jax.tasks.compose.text_data import Data

METRIC = "Loss"
PUBLIC_SEED = 12345
PROFILES = tuple(text_fidelity.PRESETS[text_fidelity.Kind.BABISTORIES])


def prepare(kind: str, argv: Sequence[str] | None = None) -> int:
    """prepare.py: writes what the agent may see. The corpus is found as proxies/text_corpus.py says."""
    arguments = preparation.parse(argv, profiles=PROFILES)
    return preparation.ending(lambda: write_agent(arguments, kind))


def evaluate_prepare(kind: str, argv: Sequence[str] | None = None) -> int:
    """evaluate_prepare.py: writes the windows of one split, which only the evaluator may see."""
    arguments = preparation.parse(argv, profiles=PROFILES)

    def write() -> None:
        write_labels(arguments, kind)
        preparation.copy_submission(arguments, SUBMISSION)

    return preparation.ending(write)


def write_agent(arguments: preparation.Arguments, kind: str, part: str = "") -> None:
    """What the agent may see of a corpus; `part` names its folder where a task has several data sets."""
    from aira_jax.tasks.compose import text_data

    text_data.write_agent(
        arguments.mount,
        kind,
        profile=arguments.profile,
        seed=preparation.data_seed(PUBLIC_SEED),
        choice=_choice(kind, arguments.raw),
        self_reported=arguments.self_reported,
        part=part,
    )


def write_labels(arguments: preparation.Arguments, kind: str, part: str = "") -> None:
    """The windows of one split."""
    from aira_jax.tasks.compose import text_data

    text_data.write_labels(
        arguments.mount,
        kind,
        profile=arguments.profile,
        seed=preparation.data_seed(PUBLIC_SEED),
        choice=_choice(kind, arguments.raw),
        split=arguments.split,
        part=part,
    )


def evaluate(space: PatternSpace, kind: str, argv: Sequence[str] | None = None) -> int:
    """evaluate.py: trains the submitted pattern from scratch and scores it. Returns the exit code."""
    score = functools.partial(_score, kind)
    return evaluation.run(METRIC, submission=SUBMISSION, profiles=PROFILES, check=space.read, score=score, argv=argv)


def train_and_score(
    architecture: str, *, data_dir: str | Path = "data", seed: int = 0, cache_dir: str | Path = ".cache"
) -> float:
    """An agent's own measurement: trains a pattern on the train windows, scores it on the validation windows.

    Needs validation windows in `data_dir`, which are there only when the search is steered by what candidates measure
    themselves. Results are kept in `cache_dir`, since the evaluator's own cache is out of an agent's reach. Returns the
    loss in nats per token. Raises PatternError, EvaluatorError or CandidateError.
    """
    from aira_jax.tasks.compose import text_data

    pattern = patterns.parse(architecture)
    data, profile = text_data.read_self_reported(Path(data_dir))
    result = train(pattern, profile, data, seed, evaluation.Split.VALIDATION, cache_dir=Path(cache_dir))
    return scoring.score(result, result.loss).value


def _choice(kind: str, raw: Path | None = None) -> text_corpus.Choice:
    choice = text_corpus.choose(kind, raw)
    if choice.path is None:
        variable = text_corpus.VARIABLES[kind]
        print(f"{variable} is not set: corpus: builtin (generated stories, not {kind})", file=sys.stderr)
    return choice


def _score(kind: str, arguments: Arguments, pattern: Pattern) -> Score:
    require_one_stage(arguments)
    result = train(pattern, arguments.profile, data(arguments, kind), arguments.seed, arguments.split)
    return scoring.score(result, result.loss)


def data(arguments: Arguments, kind: str, part: str = "") -> "Data":
    """The mounted windows, or where there are none, windows of the corpus that the environment names."""
    from aira_jax.tasks.compose import text_data

    if arguments.data_dir.exists():
        return text_data.read(arguments.data_dir, profile=arguments.profile, split=arguments.split, part=part)
    print(f"{arguments.data_dir} does not exist: making the windows anew", file=sys.stderr)
    seed = preparation.data_seed(PUBLIC_SEED)
    try:
        windows, _ = text_data.make(kind, arguments.profile, seed, _choice(kind))
    except ValueError as error:
        raise EvaluatorError(str(error)) from error
    return text_data.Data(windows, seed)


def train(
    pattern: Pattern, profile: str, data: "Data", seed: int, split: evaluation.Split, cache_dir: Path | None = None
) -> "ProxyResult":
    """Trains and scores a pattern, unless the cache has the result."""
    from aira_jax.proxies import evaluator

    preset = scaled(text_fidelity.get(data.dataset.corpus["proxy"], profile), pattern)
    return evaluator.evaluate(
        pattern,
        preset=preset,
        datasets={preset.proxy: data.dataset},
        data_seed=data.seed,
        eval_seed=seed,
        split=split.value,
        cache_dir=cache_dir,
    )
