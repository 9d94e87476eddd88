"""Successive halving across fidelities: many patterns at the cheapest, the best of them at the next, and so on.

After every promotion it says how well the cheaper preset had ranked what was promoted. Scores of different presets are
never put into one ranking.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

from aira_jax.compose import measuring, ranking
from aira_jax.compose import provenance as provenance_lib
from aira_jax.compose.measuring import Scored
from aira_jax.compose.rows import Row
from aira_jax.core import choices, files
from aira_jax.patterns import Pattern
from aira_jax.proxies import correlation
from aira_jax.proxies.correlation import MIN_PATTERNS, Statistic

RUNGS = ("cpu-s", "cpu-m", "paper")
WEAK, WEAK_FROM = 0.5, 12  # a rank correlation below 0.5 over at least 12 patterns is a warning


@dataclasses.dataclass(frozen=True)
class Rung:
    """All that was scored at one preset, best first; the first `kept` went on."""

    preset: str
    ranked: tuple[Scored, ...]
    kept: int


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How two presets rank the patterns that both have scored. The statistics are None for fewer than eight, and where
    a preset gives all of them the same score.

    `top_overlap` is the share of the `k` best at the dearer preset among the `k` best at the cheaper.
    """

    cheaper: str
    dearer: str
    patterns: int
    k: int
    spearman: Statistic | None
    kendall: Statistic | None
    top_overlap: Statistic | None
    note: str


@dataclasses.dataclass(frozen=True)
class Halving:
    rungs: tuple[Rung, ...]
    agreements: tuple[Agreement, ...]

    @property
    def winner(self) -> Scored:
        return self.rungs[-1].ranked[0]

    @property
    def provenance(self) -> provenance_lib.Facts:
        return provenance_lib.of_results([s.result for rung in self.rungs for s in rung.ranked if s.result])

    def to_json(self) -> dict[str, Any]:
        """Plain values; a score that is not finite is null."""
        rungs = [
            {"preset": rung.preset, "kept": rung.kept, "ranked": list(map(_plain, rung.ranked))} for rung in self.rungs
        ]
        told = {"winner": self.winner.pattern.canonical(), "rungs": rungs}
        agreements = list(map(dataclasses.asdict, self.agreements))
        return files.finite({**told, "agreements": agreements, "provenance": self.provenance})

    def to_text(self) -> str:
        """For a terminal."""
        lines = []
        for rung, agreement in zip(self.rungs, (None, *self.agreements), strict=True):
            cached = sum(s.cached for s in rung.ranked)
            lines.append(f"{rung.preset}: {len(rung.ranked)} patterns ({cached} from the cache), {rung.kept} kept")
            lines += [f"  {s.score:.4f}  {s.pattern.pretty()}" for s in rung.ranked[: rung.kept]]
            if agreement is not None:
                lines.append(f"  {_told(agreement)}")
        return "\n".join([*lines, provenance_lib.told(self.provenance)])


def beginners(rows: Sequence[Row], *, proxy: str, task: str = "", top: int) -> list[Pattern]:
    """The `top` best patterns by validation score among collected rows of one task, those of full length.

    Raises ValueError where the rows hold no such task, several, or scores that cannot be ranked together.
    """
    known = sorted({row.task for row in rows if measuring.proxies_of(row.task) == [proxy]})
    if task and task not in known:
        raise ValueError(choices.unknown(f"task of the proxy {proxy} in this table", task, known))
    if not known or (len(known) > 1 and not task):
        found = ", ".join(known or sorted({row.task for row in rows})) or "no task at all"
        raise ValueError(
            f"the table must give one task of the proxy {proxy}, it holds {found}: choose with --task, --proxy"
        )
    mine = [row for row in rows if row.task == (task or known[0])]
    longest = max(row.layers for row in mine)
    entries = ranking.entries([row for row in mine if row.layers == longest], ranking.Score.VALIDATION)
    (ranked,) = ranking.rankings(entries)
    return [voter.pattern for voter in ranked.voters[:top]]


def halve(
    patterns: Sequence[Pattern],
    rungs: Sequence[str],
    score: Callable[[Pattern, str], Scored],
    *,
    eta: float = 3.0,
    lower_is_better: bool = False,
    k: int = 5,
) -> Halving:
    """Runs all rungs. `score(pattern, preset)` trains; what it has in a cache costs nothing, so that a stopped call
    goes on where it was.

    Of n patterns, the best ceil(n / eta) go on, and all that tie with the last of them. Ties are ordered by the loss,
    then by the canonical string. Raises ValueError for no pattern, a repeated or missing rung, eta below 1.
    """
    distinct = list(dict.fromkeys(patterns))
    if not distinct:
        raise ValueError("no pattern to begin with: name some, or a table of candidates")
    if not rungs or len(set(rungs)) < len(rungs):
        raise ValueError(f"rungs {', '.join(rungs) or '(none)'}: name every preset once, the cheapest first")
    if not 1 <= eta < math.inf:
        raise ValueError(f"eta={eta}: the part that goes on is 1/eta, so choose a number from 1 (all) on, usually 3")
    sign = 1 if lower_is_better else -1
    done: list[Rung] = []
    for number, preset in enumerate(rungs, 1):
        scored = [score(pattern, preset) for pattern in distinct]
        ranked = sorted(scored, key=lambda s: (sign * s.score, s.loss, s.pattern.canonical()))
        last = number == len(rungs)
        kept = len(ranked) if last else _kept([s.score for s in ranked], eta)
        done.append(Rung(preset, tuple(ranked), kept))
        distinct = [s.pattern for s in ranked[:kept]]
    agreements = [agreement(a, b, sign, k) for a, b in itertools.pairwise(done)]
    return Halving(tuple(done), tuple(agreements))


def _kept(scores: Sequence[float], eta: float) -> int:
    """How many of the sorted scores go on: the best part, and what ties with its last."""
    kept = math.ceil(len(scores) / eta)
    while kept < len(scores) and scores[kept] == scores[kept - 1]:
        kept += 1
    return kept


def agreement(cheaper: Rung, dearer: Rung, sign: int, k: int = 5) -> Agreement:
    """Rank statistics over the patterns that both rungs have; `sign` is 1 where lower scores are better, else -1."""
    cheap = {s.pattern: s.score for s in cheaper.ranked}
    both = [(cheap[s.pattern], s.score) for s in dearer.ranked if s.pattern in cheap]
    n, names = len(both), (cheaper.preset, dearer.preset)
    if n < MIN_PATTERNS:
        return Agreement(*names, n, min(k, n), None, None, None, f"{n} patterns are too few to tell")
    a, b = (correlation.ranks([-sign * pair[i] for pair in both]) for i in (0, 1))
    if any(len(set(values)) == 1 for values in (a.tolist(), b.tolist())):
        return Agreement(*names, n, min(k, n), None, None, None, "one of the presets scores all patterns alike")
    k = min(k, n - 1)
    rho = correlation.with_interval(correlation.spearman, a, b)
    tau = correlation.with_interval(correlation.kendall, a, b)
    top = correlation.with_interval(lambda x, y: correlation.top_overlap(x, y, k), a, b)
    return Agreement(*names, n, k, rho, tau, top, _note(rho.value, n, names))


def _note(rho: float, n: int, names: tuple[str, str]) -> str:
    if rho < WEAK and n >= WEAK_FROM:
        return f"warning: {names[0]} is a poor guide to {names[1]} here (Spearman below {WEAK})"
    return ""


def _plain(s: Scored) -> dict[str, Any]:
    names = ("preset", "score", "loss", "status", "cached")
    return {"pattern": s.pattern.canonical(), **{name: getattr(s, name) for name in names}}


def _told(a: Agreement) -> str:
    if a.spearman is None:
        return f"{a.cheaper} against {a.dearer}: {a.note}"
    told = f"{a.cheaper} against {a.dearer} over {a.patterns} patterns: Spearman {a.spearman}, Kendall {a.kendall}"
    return f"{told}, top-{a.k} overlap {a.top_overlap}" + (f"; {a.note}" if a.note else "")
