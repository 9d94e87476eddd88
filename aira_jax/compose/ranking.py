"""The collected rows, ranked: one entry per pattern, and what every agent found.

Ranking is by the raw score, ties by the mean cross-entropy (lower first), then by the canonical string.
"""

import dataclasses
import enum
import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aira_jax.compose import voters
from aira_jax.compose.rows import Measured, Row
from aira_jax.compose.voters import Ranking


class Score(enum.StrEnum):
    """What ranks a pattern. AUTO: TEST if at least half of the patterns with a fitness have a test score."""

    AUTO = "auto"
    TEST = "test"
    VALIDATION = "validation"


class Accuracy(enum.StrEnum):
    """MICRO: over all targets, a task's own metric. MACRO: of the classes' recalls, mad-lab's; the text proxies rank by
    loss and have none."""

    MICRO = "micro"
    MACRO = "macro"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """A pattern on one task and preset. `score`, `macro` and `loss` are means over evaluations with distinct seeds.

    `proposals` counts the steps that proposed it, `agents` who did.
    """

    task: str
    preset: str
    space: int | str
    corpus: str | None
    lower_is_better: bool
    pattern: str
    score: float
    macro: float | None
    loss: float | None
    evaluations: int
    proposals: int
    agents: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class AgentReport:
    """What one agent did on one task and preset, over all of its runs.

    `unique_share` is the part of its patterns that no other agent proposed; `duplicate_rate` the part of its steps
    that proposed a pattern a second time within their run. Where patterns grew, the longest alone have scores that
    count. `best_submitted` and `best_explored` are
    {"pattern", "validation", "test"}: of the nodes handed in, and of all. `curves` holds, by run seed, the best
    validation score after every step (None before the first good one).
    """

    task: str
    preset: str
    agent: str
    runs: int
    steps: int
    patterns: int
    unique_share: float
    duplicate_rate: float
    evaluator_s: float
    best_submitted: dict[str, Any] | None
    best_explored: dict[str, Any] | None
    curves: Mapping[str, tuple[float | None, ...]]


def choose(rows: Iterable[Row], score: Score) -> Score:
    """TEST or VALIDATION: `score` itself unless it is AUTO."""
    if score is not Score.AUTO:
        return score
    scored = {(r.task, r.preset, r.pattern) for r in rows if r.validation}
    tested = {(r.task, r.preset, r.pattern) for r in rows if r.tests}
    return Score.TEST if tested and 2 * len(tested & scored) >= len(scored) else Score.VALIDATION


def entries(rows: Iterable[Row], score: Score = Score.TEST, accuracy: Accuracy = Accuracy.MICRO) -> tuple[Entry, ...]:
    """One entry per pattern, task, preset and corpus; of every task the best first. Rows without a score count not.

    Raises ValueError for the macro accuracy of rows that have none.
    """
    groups: dict[tuple, list[Row]] = defaultdict(list)
    for row in rows:
        measured = _measured(row, score)
        if measured:
            groups[row.task, row.preset, measured[0].corpus or "", row.pattern].append(row)
    found = [_entry(group, score) for group in groups.values()]
    return tuple(sorted((_by(entry, accuracy) for entry in found), key=_order))


def _by(entry: Entry, accuracy: Accuracy) -> Entry:
    if accuracy is Accuracy.MICRO:
        return entry
    if entry.macro is None or entry.lower_is_better:
        raise ValueError(f"{entry.pattern} on {entry.task} has no macro accuracy: rank by micro, or other tasks")
    return dataclasses.replace(entry, score=entry.macro)


def rankings(found: Sequence[Entry], *, multiplicity: bool = False) -> tuple[Ranking, ...]:
    """One ranking per task, for the aggregator. With `multiplicity` a pattern weighs as often as it was proposed.

    Raises ValueError for a mixture of presets, corpora, spaces or lengths, and when there is nothing to rank.
    """
    if not found:
        raise ValueError("no pattern has a score: run more, or rank by validation scores")
    voters.one_kind("presets", (entry.preset for entry in found))
    by_task: dict[str, list[Entry]] = defaultdict(list)
    for entry in found:
        by_task[entry.task].append(entry)
    return tuple(_ranking(group, multiplicity) for group in by_task.values())


def _ranking(group: Sequence[Entry], multiplicity: bool) -> Ranking:
    voters.one_kind("corpora", (entry.corpus for entry in group))
    ranked = voters.rank(
        [entry.pattern for entry in group],
        [entry.score for entry in group],
        higher_is_better=not group[0].lower_is_better,
        weights=[entry.proposals for entry in group] if multiplicity else None,
        presets=[entry.preset for entry in group],
        spaces=[entry.space for entry in group],
    )
    place = {entry.pattern: i for i, entry in enumerate(group, 1)}
    ordered = sorted(ranked.voters, key=lambda voter: place[voter.pattern.canonical()])
    return dataclasses.replace(
        ranked, voters=tuple(dataclasses.replace(v, rank=place[v.pattern.canonical()]) for v in ordered)
    )


def agents(rows: Sequence[Row]) -> tuple[AgentReport, ...]:
    """A report on every agent, by task, preset and name."""
    arms: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    owners: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for row in rows:
        arms[row.arm].append(row)
        owners[row.task, row.preset, row.pattern].add(row.agent)
    return tuple(_agent(arm, owners) for _, arm in sorted(arms.items()))


def _agent(rows: Sequence[Row], owners: Mapping[tuple[str, str, str], set[str]]) -> AgentReport:
    task, preset, agent = rows[0].arm
    patterns = {row.pattern for row in rows}
    runs: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        runs[row.run].append(row)
    distinct = sum(len({row.pattern for row in run}) for run in runs.values())
    longest = max(row.layers for row in rows)
    grown = [row for row in rows if row.layers == longest]
    return AgentReport(
        task=task,
        preset=preset,
        agent=agent,
        runs=len(runs),
        steps=len(rows),
        patterns=len(patterns),
        unique_share=sum(owners[task, preset, p] == {agent} for p in patterns) / len(patterns),
        duplicate_rate=1 - distinct / len(rows),
        evaluator_s=round(sum(row.wall_s for row in rows), 3),
        best_submitted=_best([row for row in grown if row.submitted]),
        best_explored=_best(grown),
        curves={_run_name(run, runs): best_so_far(run, longest) for run in runs.values()},
    )


def best_so_far(run: Sequence[Row], layers: int) -> tuple[float | None, ...]:
    """The best validation score of a pattern of so many layers, after every step of one run."""
    curve, best = [], None
    for row in run:
        value = row.validation.value if row.validation and row.layers == layers else None
        if value is not None and (best is None or (value < best if row.lower_is_better else value > best)):
            best = value
        curve.append(best)
    return tuple(curve)


def _run_name(run: Sequence[Row], runs: Mapping[str, list[Row]]) -> str:
    seeds = [other[0].seed for other in runs.values()]
    return str(run[0].seed) if seeds.count(run[0].seed) == 1 else run[0].run


def _best(rows: Sequence[Row]) -> dict[str, Any] | None:
    """By test score where at least half of the patterns have one, else by validation."""
    score = choose(rows, Score.AUTO)
    scored = [row for row in rows if _measured(row, score)]
    if not scored:
        return None
    sign = 1 if scored[0].lower_is_better else -1
    best = min(scored, key=lambda row: sign * _mean(_measured(row, score), "value"))
    test = _mean(best.tests, "value") if best.tests else None
    return {"pattern": best.pattern, "validation": best.validation and best.validation.value, "test": test}


def _measured(row: Row, score: Score) -> tuple[Measured, ...]:
    found = row.tests if score is Score.TEST else (row.validation,) if row.validation else ()
    return tuple(m for m in found if math.isfinite(m.value))


def _entry(rows: Sequence[Row], score: Score) -> Entry:
    by_seed: dict[tuple, list[Measured]] = defaultdict(list)
    for row in rows:
        for m in _measured(row, score):
            by_seed[m.data_seed, m.eval_seed].append(m)
    means = [{name: _mean(same, name) for name in ("value", "macro", "loss")} for same in by_seed.values()]
    first = rows[0]
    return Entry(
        task=first.task,
        preset=first.preset,
        space=first.space,
        corpus=_measured(first, score)[0].corpus,
        lower_is_better=first.lower_is_better,
        pattern=first.pattern,
        score=statistics.fmean(mean["value"] for mean in means),
        macro=_average(mean["macro"] for mean in means),
        loss=_average(mean["loss"] for mean in means),
        evaluations=len(means),
        proposals=len(rows),
        agents=tuple(sorted({row.agent for row in rows})),
    )


def _mean(measured: Sequence[Measured], name: str) -> float | None:
    return _average(getattr(m, name) for m in measured)


def _average(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def _order(entry: Entry) -> tuple:
    loss = math.inf if entry.loss is None else entry.loss
    score = entry.score if entry.lower_is_better else -entry.score
    return entry.task, entry.preset, entry.corpus or "", score, loss, entry.pattern
