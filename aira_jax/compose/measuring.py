"""Trains and scores a pattern on a proxy that is given by name: MAD, or a text corpus as the environment names it."""

import dataclasses
import os
from pathlib import Path

from aira_jax.patterns import Pattern
from aira_jax.proxies import evaluator, fidelity, mad, text, text_corpus, text_fidelity
from aira_jax.proxies.corpora.windows import Short
from aira_jax.proxies.result import ProxyResult, Split
from aira_jax.proxies.text_fidelity import MAD, PROXIES


@dataclasses.dataclass(frozen=True)
class Scored:
    """A pattern's score at a preset: accuracy on MAD (higher is better), loss in nats on text (lower). `cached`:
    nothing was trained for it. `result` is all that is known about the evaluation."""

    pattern: Pattern
    preset: str
    score: float
    loss: float
    status: str
    cached: bool
    result: ProxyResult | None = dataclasses.field(default=None, repr=False, compare=False)


def lower_is_better(proxy: str) -> bool:
    return proxy != MAD


def proxy_of(task: str) -> str:
    """The proxy of a Compose task. Raises ValueError for another task."""
    found = proxies_of(task)
    if len(found) != 1:
        raise ValueError(f"{task} belongs to none of the proxies {', '.join(PROXIES)}")
    return found[0]


def proxies_of(task: str) -> list[str]:
    """The proxies that a task's name names."""
    return [proxy for proxy in PROXIES if proxy in task.lower()]


def measure(
    pattern: Pattern,
    preset: str,
    *,
    proxy: str = MAD,
    data_seed: int = mad.DEFAULT_SEED,
    eval_seed: int = 0,
    split: Split = Split.TEST,
    width_scaling: bool = False,
    cache_dir: str | os.PathLike | None = None,
) -> Scored:
    """Trains and scores `pattern`, or reads the result from the cache. Raises ValueError for unknown names."""
    sized = text_fidelity.of(proxy, preset)
    sized = fidelity.scaled(sized, len(pattern)) if width_scaling else sized
    seeds = {"data_seed": data_seed, "eval_seed": eval_seed, "split": split}
    directory = None if cache_dir is None else Path(cache_dir)
    if proxy == MAD:
        result = evaluator.evaluate(pattern, preset=sized, cache_dir=directory, **seeds)
    else:
        result = _on_text(pattern, proxy, sized, directory, seeds)
    value = result.loss if lower_is_better(proxy) else result.score
    return Scored(pattern, preset, value, result.loss, str(result.status), result.cached, result)


def _on_text(pattern: Pattern, proxy: str, preset, directory: Path | None, seeds: dict) -> ProxyResult:
    corpus = text_corpus.choose(proxy)
    short = Short.ALLOW if corpus.allow_short else Short.REFUSE
    reading = {"path": corpus.path, "ranks": corpus.ranks, "tokenizer": corpus.tokenizer, "short": short}
    return text.evaluate(pattern, kind=proxy, preset=preset, cache_dir=directory, **seeds, **reading)
