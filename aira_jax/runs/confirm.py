"""The best patterns of an arm, evaluated again with fresh seeds: the only scores of a comparison to be quoted."""

import dataclasses
import os
import statistics
from collections.abc import Callable, Sequence

from aira_jax.compose import measuring
from aira_jax.compose.rows import WIDTH_SCALED, Row
from aira_jax.patterns import Pattern, parse

TOP, SEEDS = 5, 3
FRESH = 2_000_003  # neither runs nor tests use seeds from here on


@dataclasses.dataclass(frozen=True)
class Confirmed:
    """A pattern with its test scores under fresh data and evaluator seeds, and what the search had seen."""

    pattern: str
    validation: float
    tests: tuple[float, ...]
    mean: float
    low: float
    high: float


def evaluator(row: Row, cache_dir: str | os.PathLike | None = None) -> Callable[[Pattern, int], float]:
    """What scores a pattern as `row` was scored, on the test split and with fresh seeds."""
    preset = row.preset.removesuffix(WIDTH_SCALED)
    options = {"proxy": measuring.proxy_of(row.task), "width_scaling": preset != row.preset, "cache_dir": cache_dir}
    return lambda pattern, seed: measuring.measure(
        pattern, preset, data_seed=seed, eval_seed=seed, **options
    ).score  # fmt: skip


def confirm(
    rows: Sequence[Row], evaluate: Callable[[Pattern, int], float], *, top: int = TOP, seeds: int = SEEDS
) -> tuple[Confirmed, ...]:
    """The `top` patterns of an arm by validation, best confirmed mean first; of those that grew, the longest only.

    `evaluate(pattern, seed)` gives a test score with `seed` for the data and for the evaluator; `low` and `high` are
    the range over the `seeds` scores. Raises ValueError for an arm without a score, or on several tasks.
    """
    if len({row.task for row in rows}) > 1:
        raise ValueError("re-evaluation takes one task at a time: name the runs of one task")
    longest = max((row.layers for row in rows), default=0)
    scored = [row for row in rows if row.validation and row.layers == longest]
    if not scored:
        raise ValueError("no pattern of this arm has a score: there is nothing to evaluate again")
    sign = 1 if scored[0].lower_is_better else -1
    ordered = sorted(scored, key=lambda row: (sign * row.validation.value, row.pattern))
    chosen = {row.pattern: row.validation.value for row in reversed(ordered)}
    best = sorted(chosen.items(), key=lambda item: (sign * item[1], item[0]))[:top]
    found = []
    for pattern, validation in best:
        tests = tuple(evaluate(parse(pattern), FRESH + i) for i in range(seeds))
        found.append(Confirmed(pattern, validation, tests, statistics.fmean(tests), min(tests), max(tests)))
    return tuple(sorted(found, key=lambda c: sign * c.mean))
