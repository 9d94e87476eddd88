"""evaluate.py of the Compose tasks: trains the submitted pattern from scratch and scores it.

On several proxies at once, a data mix, every proxy trains the pattern anew, through the evaluator and the cache of its
own task: what was scored there is not trained again. The value is the weighted mean of relative errors (guessing.py):
on MAD of the mean over its problems of wrong answers, on text of nats, each in units of the best answer that does not
look at the input.

Jax is imported when a pattern is trained: the static check of a submission needs neither it nor numpy.
"""

import dataclasses
import functools
import math
import runpy
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aira_jax import patterns
from aira_jax.patterns import Pattern
from aira_jax.tasks import evaluation
from aira_jax.tasks.compose import proxies, scoring
from aira_jax.tasks.compose.proxies import Data, Mix, Proxy
from aira_jax.tasks.compose.space import SUBMISSION, PatternSpace, require_one_stage, scaled
from aira_jax.tasks.evaluation import Arguments, CandidateError, EvaluatorError, Score, Split

if TYPE_CHECKING:
    from aira_jax.proxies.result import ProxyResult


def evaluate(folder: Path, argv: Sequence[str] | None = None) -> int:
    """evaluate.py of the task in `folder`, whose space.py names its SPACE. Returns the exit code."""
    space, asked = runpy.run_path(str(folder / "space.py"))["SPACE"], proxies.of(folder)
    return evaluation.run(
        asked.metric,
        submission=SUBMISSION,
        profiles=asked.profiles,
        check=space.read,
        score=functools.partial(_score, space, asked),
        argv=argv,
    )


def mad_accuracy(
    architecture: str | Pattern, *, data_dir: str | Path = "data", seed: int = 0, cache_dir: str | Path = ".cache"
) -> float:
    """An agent's own measurement: trains a pattern on the train rows, scores it on the validation rows.

    A text is read as a pattern without options. Needs validation labels in `data_dir`, which are there only when the
    search is steered by what candidates measure themselves. Results are kept in `cache_dir`, since the evaluator's own
    cache is out of an agent's reach. Returns the mean accuracy in [0, 1]. Raises PatternError, EvaluatorError or
    CandidateError.
    """
    return _own(proxies.Mad(), architecture, data_dir, seed, cache_dir)


def text_loss(
    architecture: str, *, data_dir: str | Path = "data", seed: int = 0, cache_dir: str | Path = ".cache"
) -> float:
    """An agent's own measurement: trains a pattern on the train windows, scores it on the validation windows.

    Needs validation windows in `data_dir`, which are there only when the search is steered by what candidates measure
    themselves. Results are kept in `cache_dir`, since the evaluator's own cache is out of an agent's reach. Returns the
    loss in nats per token. Raises PatternError, EvaluatorError or CandidateError.
    """
    from aira_jax.tasks.compose import text_data

    return _own(proxies.get(text_data.kind(Path(data_dir))), architecture, data_dir, seed, cache_dir)


def mix_error(
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
    mix, pattern, measured = Mix(weights), patterns.parse(architecture), {}
    for part, proxy in proxies.parts(mix).items():
        data, profile = proxy.read_self_reported(Path(data_dir), part)
        result = _trained(proxy, pattern, profile, data, seed, Split.VALIDATION, Path(cache_dir))
        measured[part], _ = _relative(proxy, result, data, Split.VALIDATION)
    return mix.mean(measured)


def train(
    proxy: Proxy,
    pattern: Pattern,
    profile: str,
    data: Data,
    seed: int,
    split: Split,
    cache_dir: Path | None = None,
) -> "ProxyResult":
    """Trains and scores a pattern, unless the cache has the result."""
    from aira_jax.proxies import evaluator

    return evaluator.evaluate(
        pattern,
        preset=scaled(proxy.preset(profile), pattern),
        datasets=data.datasets,
        data_seed=data.seed,
        eval_seed=seed,
        split=split.value,
        cache_dir=cache_dir,
    )


def _own(proxy: Proxy, architecture: str | Pattern, data_dir, seed: int, cache_dir) -> float:
    pattern = patterns.parse(architecture) if isinstance(architecture, str) else architecture
    data, profile = proxy.read_self_reported(Path(data_dir))
    result = train(proxy, pattern, profile, data, seed, Split.VALIDATION, Path(cache_dir))
    return scoring.score(result, proxy.value(result)).value


def _score(space: PatternSpace, asked: Proxy | Mix, arguments: Arguments, pattern: Pattern) -> Score:
    require_one_stage(arguments)
    if isinstance(asked, Mix):
        return _mixed(asked, arguments, pattern)
    result = train(asked, pattern, arguments.profile, _data(asked, arguments), arguments.seed, arguments.split)
    score = scoring.score(result, asked.value(result))
    return dataclasses.replace(score, extra={**score.extra, **space.facts(pattern)})


def _data(proxy: Proxy, arguments: Arguments, part: str = "") -> Data:
    """The mounted data, or where there are none, the same made anew."""
    if arguments.data_dir.exists():
        return proxy.read(arguments.data_dir, profile=arguments.profile, split=arguments.split, part=part)
    print(f"{arguments.data_dir} does not exist: ", end="", file=sys.stderr)
    return proxy.make(arguments.profile)


def _mixed(mix: Mix, arguments: Arguments, pattern: Pattern) -> Score:
    results, relative, references = {}, {}, {}
    for part, proxy in proxies.parts(mix).items():
        data = _data(proxy, arguments, part)
        results[part] = _trained(proxy, pattern, arguments.profile, data, arguments.seed, arguments.split)
        relative[part], references[part] = _relative(proxy, results[part], data, arguments.split)
    return _combined(mix, results, relative, references)


def _trained(proxy: Proxy, *how) -> "ProxyResult":
    """As `train`. Raises CandidateError, which names the proxy, where the training went wrong."""
    result = train(proxy, *how)
    try:
        scoring.score(result, 0.0)
    except CandidateError as error:
        raise CandidateError(error.failure, f"{proxy.name}: {error}", error.extra) from error
    return result


def _relative(proxy: Proxy, result: "ProxyResult", data: Data, split: Split) -> tuple[float, dict[str, float]]:
    """The relative error of one proxy, and what the guess gets wrong on each of its tasks."""
    from aira_jax.proxies import mad

    references = {}
    for task in result.tasks:
        dataset = data.datasets[task]
        rows = dataset.test if split is Split.TEST else mad.split_validation(dataset.train)[1]
        try:
            references[task] = proxy.guess(rows.y)
        except ValueError as error:
            raise EvaluatorError(f"{proxy.name}, {task}: {error}") from error
    wrong = [proxy.wrong(score) / references[task] for task, score in result.tasks.items()]
    return math.fsum(wrong) / len(wrong), references


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
