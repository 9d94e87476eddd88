"""The scripts of a Compose task that scores a pattern on several proxies at once: a data mix.

Every proxy trains the pattern anew, through the evaluator and the cache of its own task: what was scored there is not
trained again. The value is the weighted mean of relative errors (guessing.py): on MAD of the mean over its problems of
wrong answers, on text of nats, each in units of the best answer that does not look at the input.

Numpy and jax are imported when they are needed: the static check of a submission needs neither.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aira_jax import patterns
from aira_jax.core import choices
from aira_jax.patterns import Pattern
from aira_jax.proxies import fidelity, text_fidelity
from aira_jax.tasks import evaluation, preparation
from aira_jax.tasks.compose import on_mad, on_text, scoring
from aira_jax.tasks.compose.space import SUBMISSION, PatternSpace, require_one_stage
from aira_jax.tasks.evaluation import Arguments, CandidateError, EvaluatorError, Score, Split

if TYPE_CHECKING:
    from aira_jax.proxies.result import ProxyResult

METRIC = "RelativeError"
MAD = "mad"
PROXIES = (MAD, *(kind.value for kind in text_fidelity.Kind))
PROFILES = tuple(name for name in fidelity.PRESETS if name in text_fidelity.PRESETS[text_fidelity.Kind.BABISTORIES])


@dataclasses.dataclass(frozen=True)
class Mix:
    """Which proxies count how much: weights above 0, by name. Only their ratios matter."""

    weights: Mapping[str, float]

    def __post_init__(self):
        if not self.weights:
            raise ValueError(f"a mix needs at least one of {', '.join(PROXIES)}")
        for name, weight in self.weights.items():
            if name not in PROXIES:
                raise ValueError(choices.unknown("proxy", name, PROXIES))
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < math.inf:
                raise ValueError(
                    f"weight of {name}: {weight!r} must be a number above 0; leave out what shall not count"
                )

    @classmethod
    def of(cls, folder: Path) -> "Mix":
        """That of a task folder: `aira_jax.mix` of its metadata.yaml."""
        import yaml

        metadata = yaml.safe_load((folder / "metadata.yaml").read_text(encoding="utf-8"))
        return cls(metadata["aira_jax"]["mix"])

    def mean(self, values: Mapping[str, float]) -> float:
        """The weighted mean of one value per proxy."""
        total = math.fsum(self.weights.values())
        return math.fsum(self.weights[name] * values[name] for name in self.weights) / total


def prepare(folder: Path, argv: Sequence[str] | None = None) -> int:
    """prepare.py: writes what the agent may see of every proxy, each into a folder of its own."""
    arguments = preparation.parse(argv, profiles=PROFILES)
    return preparation.ending(lambda: _write_agent(arguments, Mix.of(folder)))


def evaluate_prepare(folder: Path, argv: Sequence[str] | None = None) -> int:
    """evaluate_prepare.py: writes the labels of one split of every proxy."""
    arguments = preparation.parse(argv, profiles=PROFILES)

    return preparation.ending(lambda: _write_labels(arguments, Mix.of(folder)))


def evaluate(space: PatternSpace, folder: Path, argv: Sequence[str] | None = None) -> int:
    """evaluate.py: trains the submitted pattern on every proxy and scores it. Returns the exit code."""
    score = functools.partial(_score, folder)
    return evaluation.run(METRIC, submission=SUBMISSION, profiles=PROFILES, check=space.read, score=score, argv=argv)


def train_and_score(
    architecture: str,
    *,
    weights: Mapping[str, float],
    data_dir: str | Path = "data",
    seed: int = 0,
    cache_dir: str | Path = ".cache",
) -> float:
    """An agent's own measurement on the validation rows of every proxy: the weighted mean of relative errors.

    Needs validation labels in `data_dir`, which are there only when the search is steered by what candidates measure
    themselves. Raises ValueError, EvaluatorError or CandidateError.
    """
    from aira_jax.tasks.compose import mad_data, text_data

    mix, pattern, measured = Mix(weights), patterns.parse(architecture), {}
    for proxy in mix.weights:
        data, profile = (mad_data if proxy == MAD else text_data).read_self_reported(Path(data_dir), part=proxy)
        trained = _train(proxy, pattern, profile, data, seed, Split.VALIDATION, Path(cache_dir))
        measured[proxy] = _relative(proxy, trained, data, Split.VALIDATION)
    return mix.mean({proxy: value for proxy, (value, _) in measured.items()})


def _write_agent(arguments: preparation.Arguments, mix: Mix) -> None:
    for proxy in mix.weights:
        if proxy == MAD:
            on_mad.write_agent(arguments, part=proxy)
        else:
            on_text.write_agent(arguments, proxy, part=proxy)


def _write_labels(arguments: preparation.Arguments, mix: Mix) -> None:
    for proxy in mix.weights:
        if proxy == MAD:
            on_mad.write_labels(arguments, part=proxy)
        else:
            on_text.write_labels(arguments, proxy, part=proxy)
    preparation.copy_submission(arguments, SUBMISSION)


def _score(folder: Path, arguments: Arguments, pattern: Pattern) -> Score:
    require_one_stage(arguments)
    mix = Mix.of(folder)
    results, relative, references = {}, {}, {}
    for proxy in mix.weights:
        data = on_mad.data(arguments, proxy) if proxy == MAD else on_text.data(arguments, proxy, proxy)
        results[proxy] = _train(proxy, pattern, arguments.profile, data, arguments.seed, arguments.split)
        relative[proxy], references[proxy] = _relative(proxy, results[proxy], data, arguments.split)
    return _combined(mix, results, relative, references)


def _train(proxy: str, pattern: Pattern, profile: str, data, seed: int, split: Split, cache_dir: Path | None = None):
    """The result of one proxy. Raises CandidateError where its training went wrong."""
    result = (on_mad if proxy == MAD else on_text).train(pattern, profile, data, seed, split, cache_dir)
    try:
        scoring.score(result, 0.0)
    except CandidateError as error:
        raise CandidateError(error.failure, f"{proxy}: {error}", error.extra) from error
    return result


def _relative(proxy: str, result: "ProxyResult", data, split: Split) -> tuple[float, dict[str, float]]:
    """The relative error of one proxy, and what the guess gets wrong on each of its tasks."""
    from aira_jax.proxies import mad
    from aira_jax.tasks.compose import guessing

    datasets = data.datasets if proxy == MAD else {proxy: data.dataset}
    guess = guessing.errors if proxy == MAD else guessing.entropy
    references = {}
    for task in result.tasks:
        rows = datasets[task].test if split is Split.TEST else mad.split_validation(datasets[task].train)[1]
        try:
            references[task] = guess(rows.y)
        except ValueError as error:
            raise EvaluatorError(f"{proxy}, {task}: {error}") from error
    left = {task: 1 - score.micro if proxy == MAD else score.loss for task, score in result.tasks.items()}
    return math.fsum(left[task] / references[task] for task in left) / len(left), references


def _combined(
    mix: Mix,
    results: Mapping[str, "ProxyResult"],
    relative: Mapping[str, float],
    references: Mapping[str, Mapping[str, float]],
) -> Score:
    parts = {proxy: scoring.score(result, relative[proxy]) for proxy, result in results.items()}
    return Score(
        value=mix.mean(relative),
        train_s=math.fsum(part.train_s for part in parts.values()),
        device_s=math.fsum(part.device_s for part in parts.values()),
        n_params=max((part.n_params for part in parts.values() if part.n_params), default=None),
        steps=sum(part.steps for part in parts.values()),
        curve=(),
        extra={
            "canonical": next(iter(results.values())).pattern,
            "relative_error": dict(relative),
            "weights": dict(mix.weights),
            "guess": {proxy: dict(found) for proxy, found in references.items()},
            "proxy": _summary(mix, results),
            "proxies": {proxy: result.to_json() for proxy, result in results.items()},
        },
    )


def _summary(mix: Mix, results: Mapping[str, "ProxyResult"]) -> dict[str, Any]:
    """The parts as one result: all of their tasks, and in place of a corpus everything that must not be mixed."""
    from aira_jax.proxies import cache

    parts = [result.to_json() for result in results.values()]
    corpora = {proxy: result.corpus for proxy, result in results.items() if result.corpus}
    names = [f"{proxy} {corpus.get('corpus')}" for proxy, corpus in corpora.items()]
    shared = ("pattern", "profile", "seed", "eval_seed", "split", "dtype", "device", "versions", "sources")
    return {
        **{name: parts[0][name] for name in shared if name in parts[0]},
        "proxy": "mix",
        "tasks": {task: score for part in parts for task, score in part["tasks"].items()},
        "cached": all(part["cached"] for part in parts),
        "by_other_sources": any(part.get("by_other_sources") for part in parts),
        "steps": sum(part["steps"] for part in parts),
        "key": cache.content_key({"keys": [part["key"] for part in parts]}),
        "corpus": {"corpus": ", ".join((*names, "mixed")), "weights": dict(mix.weights), "corpora": corpora},
    }
