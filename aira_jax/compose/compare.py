"""Does one arm of a campaign find better patterns than another? A paired comparison over run seeds.

An *arm* is one agent or control, with one run per task and seed. Runs of the two arms with equal task and seed are a
pair; both are cut to the same number of unique evaluations, so that no arm wins by having asked more often.
"""

import dataclasses
import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from aira_jax.compose import provenance as provenance_lib
from aira_jax.compose import voters
from aira_jax.compose.rows import Collection, Row
from aira_jax.statistics.bootstrap import LEVEL, mean_interval

MIN_PAIRS = 10  # for a claim
UNSHARED = (
    "not every pair begins with the same designs: let controls make the first ones of an agent, "
    "--config.llm.draft.backend=control.random"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """What one run did: distinct patterns in the order of their first evaluation, as (pattern, validation score).

    The score is None where the evaluation failed, and for patterns shorter than those that are compared (a search may
    grow its patterns): such an evaluation counts, its score does not. `evaluator_s` are the seconds of all of them.
    """

    task: str
    seed: int
    agent: str
    evaluations: tuple[tuple[str, float | None], ...]
    evaluator_s: float
    lower_is_better: bool
    submitted_test: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pair:
    """The two runs of one task and seed, both cut to `evaluations` unique evaluations.

    Curves hold the best score so far (None before the first good one). `auc_*` are their means from the point where
    both have one. `shared` counts the equal patterns that both began with.
    """

    task: str
    seed: int
    evaluations: int
    curve_a: tuple[float | None, ...]
    curve_b: tuple[float | None, ...]
    auc_a: float
    auc_b: float
    test_a: float | None
    test_b: float | None
    shared: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Difference:
    """Paired differences, signed so that positive favours arm A, with Student's interval of their mean over pairs.

    `p` is that of the two-sided Wilcoxon signed-rank test. None where there are too few pairs to say it.
    """

    what: str
    pairs: int
    mean: float
    low: float | None
    high: float | None
    p: float | None
    differences: tuple[float, ...]
    verdict: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """`unpaired` lists runs (arm, task, seed) without a partner, which were left out; `provenance` covers both arms."""

    arm_a: str
    arm_b: str
    preset: str
    lower_is_better: bool
    pairs: tuple[Pair, ...]
    differences: tuple[Difference, ...]
    evaluator_s: tuple[float, float]
    unpaired: tuple[tuple[str, str, int], ...]
    notes: tuple[str, ...]
    provenance: provenance_lib.Facts

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def to_text(self) -> str:
        """For a terminal."""
        best = "lower" if self.lower_is_better else "higher"
        lines = [f"A {self.arm_a}, B {self.arm_b}: {len(self.pairs)} pairs at {self.preset}, {best} is better"]
        for pair in self.pairs:
            lines.append(
                f"  {pair.task} seed {pair.seed}: best of {pair.evaluations} unique evaluations "
                f"A {_told(pair.curve_a[-1])}, B {_told(pair.curve_b[-1])}; first {pair.shared} designs shared"
            )
        for d in self.differences:
            interval = "" if d.low is None else f" [{d.low:+.4f}, {d.high:+.4f}]"
            p = "" if d.p is None else f", p = {d.p:.3g}"
            lines.append(f"{d.what}: A - B = {d.mean:+.4f}{interval}{p} over {d.pairs} pairs. {d.verdict}")
        lines.append("evaluator seconds: A {:,.0f}, B {:,.0f}".format(*self.evaluator_s))
        return "\n".join([*lines, *self.notes, provenance_lib.told(self.provenance)])


def compare(a: Collection, b: Collection) -> Comparison:
    """The comparison of two arms. Raises ValueError where they are no arms, share no seed or differ in preset."""
    rows = (*a.rows, *b.rows)
    layers = max((row.layers for row in rows), default=0)
    runs_a, runs_b = _arm(a, "A", layers), _arm(b, "B", layers)
    preset = voters.one_kind("presets", (row.preset for row in rows))
    voters.one_kind("numbers of evaluator seeds (config.eval.seeds)", (row.evaluator_seeds for row in rows))
    for what in ("corpus", "data_seed"):
        voters.one_kind(f"{what} values", _details(rows, what))
    both = sorted(runs_a.keys() & runs_b.keys())
    if not both:
        raise ValueError(
            f"no run of A ({_keys(runs_a)}) has the task and seed of a run of B ({_keys(runs_b)}): "
            "run both arms with the same seeds"
        )
    lower = runs_a[both[0]].lower_is_better
    if any(run.lower_is_better != lower for run in (*runs_a.values(), *runs_b.values())):
        raise ValueError("lower is better on some of the tasks and higher on others: compare them one at a time")
    pairs = tuple(_pair(runs_a[key], runs_b[key]) for key in both)
    unpaired = [("A", *key) for key in sorted(runs_a.keys() - runs_b.keys())]
    unpaired += [("B", *key) for key in sorted(runs_b.keys() - runs_a.keys())]
    return Comparison(
        arm_a=a.rows[0].agent,
        arm_b=b.rows[0].agent,
        preset=str(preset),
        lower_is_better=lower,
        pairs=pairs,
        differences=_differences(pairs, -1 if lower else 1),
        evaluator_s=tuple(round(sum(runs[key].evaluator_s for key in both), 3) for runs in (runs_a, runs_b)),
        unpaired=tuple(unpaired),
        notes=(*_growth(rows, layers), *_notes(pairs, unpaired, [runs_a, runs_b])),
        provenance=provenance_lib.of_rows(rows),
    )


def _growth(rows: Sequence[Row], layers: int) -> list[str]:
    short = sum(row.layers < layers for row in rows)
    return (
        [f"{short} steps tried fewer than {layers} layers: evaluations that count, scores that do not"] if short else []
    )


def _arm(collection: Collection, name: str, layers: int) -> dict[tuple[str, int], Run]:
    """One run per task and seed. Raises ValueError for several agents or runs in the place of one."""
    if not collection.rows:
        raise ValueError(f"arm {name} has no evaluated pattern")
    agents = sorted({row.agent for row in collection.rows})
    if len(agents) > 1:
        raise ValueError(f"arm {name} holds several agents ({', '.join(agents)}): name the folders of one")
    groups: dict[tuple[str, int], dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in collection.rows:
        groups[row.task, row.seed][row.run].append(row)
    for (task, seed), runs in groups.items():
        if len(runs) > 1:
            raise ValueError(f"arm {name} holds several runs of {task} with seed {seed}: {', '.join(sorted(runs))}")
    return {key: _run(*runs.values(), layers) for key, runs in groups.items()}


def _run(rows: Sequence[Row], layers: int) -> Run:
    first: dict[str, float | None] = {}
    for row in rows:
        if first.get(row.pattern) is None:  # a failed evaluation that was repeated keeps its place
            first[row.pattern] = row.validation.value if row.validation and row.layers == layers else None
    submitted = next((row for row in rows if row.submitted), None)
    tests = [test.value for test in submitted.tests if test.eval_seed == 0] if submitted else []
    return Run(
        task=rows[0].task,
        seed=rows[0].seed,
        agent=rows[0].agent,
        evaluations=tuple(first.items()),
        evaluator_s=sum(row.wall_s for row in rows),
        lower_is_better=rows[0].lower_is_better,
        submitted_test=tests[0] if tests else None,
    )


def _details(rows: Sequence[Row], name: str) -> set[Any]:
    found = {getattr(row.validation, name) for row in rows if row.validation}
    return found - {None}


def _pair(a: Run, b: Run) -> Pair:
    n = min(len(a.evaluations), len(b.evaluations))
    curve_a, curve_b = (_best_so_far(run, n) for run in (a, b))
    begun = [(x, y) for x, y in zip(curve_a, curve_b, strict=True) if x is not None and y is not None]
    if not begun:
        raise ValueError(
            f"{a.task} seed {a.seed}: a run has no good pattern of full length among its first {n} evaluations: "
            "let both runs go on, or leave this seed out"
        )
    same = [x[0] == y[0] for x, y in zip(a.evaluations, b.evaluations, strict=False)]
    return Pair(
        task=a.task,
        seed=a.seed,
        evaluations=n,
        curve_a=curve_a,
        curve_b=curve_b,
        auc_a=statistics.fmean(x for x, _ in begun),
        auc_b=statistics.fmean(y for _, y in begun),
        test_a=a.submitted_test,
        test_b=b.submitted_test,
        shared=same.index(False) if False in same else len(same),
    )


def _best_so_far(run: Run, n: int) -> tuple[float | None, ...]:
    better = min if run.lower_is_better else max
    curve: list[float | None] = []
    for _, value in run.evaluations[:n]:
        seen = [v for v in (value, curve[-1] if curve else None) if v is not None]
        curve.append(better(seen, default=None))
    return tuple(curve)


def _differences(pairs: Sequence[Pair], sign: int) -> tuple[Difference, ...]:
    """Of the best validation score, of the area under the curve, and of the submission's test score where both have
    one."""
    columns: dict[str, list[float]] = {
        "best validation score": [sign * (p.curve_a[-1] - p.curve_b[-1]) for p in pairs],
        "area under the best-so-far curve": [sign * (p.auc_a - p.auc_b) for p in pairs],
    }
    tested = [sign * (p.test_a - p.test_b) for p in pairs if p.test_a is not None and p.test_b is not None]
    if tested:
        columns["test score of the submission"] = tested
    return tuple(difference(what, values) for what, values in columns.items())


def difference(what: str, values: Sequence[float]) -> Difference:
    """The statistics of paired differences, positive where A is better."""
    low, high = mean_interval([values], [1.0])
    p = wilcoxon(values) if len(values) > 1 else None
    return Difference(
        what=what, pairs=len(values), mean=statistics.fmean(values), low=low, high=high, p=p,
        differences=tuple(values), verdict=_verdict(len(values), low, high, p),
    )  # fmt: skip


def _verdict(pairs: int, low: float | None, high: float | None, p: float | None) -> str:
    if pairs < MIN_PAIRS:
        return f"No claim: {pairs} pairs, at least {MIN_PAIRS} are needed."
    if p < LEVEL and (low > 0 or high < 0):
        return f"{'A' if low > 0 else 'B'} is better."
    return "No difference shown."


def wilcoxon(values: Sequence[float]) -> float:
    """Two-sided p of the signed-rank test; pairs without a difference are dropped, 1 where nothing is left."""
    from scipy import stats

    left = [value for value in values if value]
    return float(stats.wilcoxon(left).pvalue) if left else 1.0


def _notes(pairs: Sequence[Pair], unpaired: Sequence[tuple], arms: Sequence[Mapping]) -> tuple[str, ...]:
    shared = min(pair.shared for pair in pairs)
    notes = [f"every pair begins with {shared} shared designs" if shared else UNSHARED]
    if all(pair.shared == pair.evaluations for pair in pairs):
        notes = ["all evaluations are shared: both arms asked for the same designs, so nothing here compares them"]
    counts = [len(run.evaluations) for arm in arms for key, run in arm.items()]
    if len(set(counts)) > 1:
        notes.append("runs of different length were cut to the unique evaluations that both of a pair have")
    if unpaired:
        notes.append(f"{len(unpaired)} runs without a partner were left out")
    notes.append(
        "the best of a search is chosen by these scores, so they are optimistic: quote only re-evaluations (--confirm)"
    )
    return tuple(notes)


def _keys(runs: Mapping[tuple[str, int], Run]) -> str:
    return ", ".join(f"{task} seed {seed}" for task, seed in sorted(runs))


def _told(value: float | None) -> str:
    return "none" if value is None or math.isnan(value) else f"{value:.4f}"
