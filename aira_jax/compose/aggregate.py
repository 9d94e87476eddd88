"""From many scored patterns to one: select voters, then vote layer by layer.

Selectors narrow a ranking or weigh it: the best cluster of k-means on the score, the first k, weights that decay with
the rank. The combiner N_c lets, at layer i, those voters vote who agree with the c layers chosen before it: N_0 votes
for every layer alone, N_1 looks at the last choice, N_all at all choices so far.
Source: arXiv 2510.00379 (aggregator), arXiv 2605.15871 (clusters, rank decay over data sets). Neither
publishes ties, the decay or the variant of each model; those are decided here.
"""

import dataclasses
import itertools
import re
from collections import Counter
from collections.abc import Mapping, Sequence

from aira_jax.compose.voters import (
    KMeansTop,
    RankDecay,
    Ranking,
    Selector,
    TopK,
    Voters,
    check_lengths,
    one_kind,
    rank,
)
from aira_jax.core import choices
from aira_jax.patterns import Pattern, tokens

METHODS = ("n0", "n1", "nall")
DECAYS = (0.1, 0.25, 0.5, 1.0)  # of RankDecay; the published models used one that is not published

# What `outcomes` tries: every selector of the papers.
SELECTIONS: Mapping[str, tuple[Selector, ...]] = {
    "kmeans_top": (KMeansTop(),),
    "top_k": (TopK(),),
    **{f"rank_decay {decay:g}": (RankDecay(decay),) for decay in DECAYS},
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Aggregate:
    """The elected pattern and how it came about."""

    pattern: Pattern
    method: str  # "n0", "n1", "nall", ...
    selectors: tuple[Selector, ...]
    members: Voters  # all data sets together; the weights sum to 1
    shares: tuple[dict[str, float], ...]  # per layer: share of every primitive among the votes that counted there
    support: tuple[float, ...]  # per layer: weight of the voters who counted there, of a total of 1
    evaluated: bool  # whether the elected pattern is itself in a ranking; if not, it still has no score

    def to_json(self) -> dict:
        """Plain values for a report."""
        return {
            "pattern": self.pattern.canonical(),
            "method": self.method,
            "selectors": {type(s).__name__: dataclasses.asdict(s) for s in self.selectors},
            "members": [
                {"pattern": v.pattern.canonical(), "score": v.score, "rank": v.rank, "weight": float(v.weight)}
                for v in self.members
            ],
            "shares": list(self.shares),
            "support": list(self.support),
            "evaluated": self.evaluated,
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Elected:
    """One elected pattern and all settings that elect it, as (selection, method)."""

    pattern: Pattern
    elected_by: tuple[tuple[str, str], ...]
    evaluated: bool


def aggregate(
    patterns: Sequence[Pattern | str],
    scores: Sequence[float],
    *,
    method: str = "n0",
    clusters: int | None = 3,
    weights: str | Sequence[float] | None = None,
    higher_is_better: bool = True,
    presets: Sequence[str] | None = None,
    spaces: Sequence[int] | None = None,
) -> Pattern:
    """One pattern from many, all of one data set: `combine(rank(...)).pattern` with the usual settings.

    Args:
      patterns, scores: equally many; patterns of equal length. Repeated patterns vote repeatedly.
      method: "n0", "n1", "nall", or "n<c>" for any c.
      clusters: only the best of so many k-means clusters votes; None: all vote.
      weights: None (equal), "rank_decay" (`RankDecay()`), or one positive number per pattern.
      higher_is_better: False for losses.
      presets, spaces: one per pattern, if known; a mixture raises.
    """
    decay = isinstance(weights, str)
    if decay and weights != "rank_decay":
        raise ValueError(choices.unknown("weights", weights, ["rank_decay"]))
    ranking = rank(
        patterns,
        scores,
        higher_is_better=higher_is_better,
        weights=None if decay else weights,
        presets=presets,
        spaces=spaces,
    )
    narrow = () if clusters is None else (KMeansTop(clusters),)
    return combine([ranking], selectors=(*narrow, RankDecay()) if decay else narrow, method=method).pattern


def combine(rankings: Sequence[Ranking], *, selectors: Sequence[Selector] = (), method: str = "n0") -> Aggregate:
    """The vote over one or several data sets, each of which has the same total weight.

    Ties go to the primitive of the best-ranked voter among the tied; between voters of equal rank (of different data
    sets) to the first of `tokens()`. Raises ValueError as the selectors do, for an unknown method, no ranking, an empty
    ranking, or patterns of different lengths.
    """
    memory = _memory(method)
    if not rankings or not all(r.voters for r in rankings):
        raise ValueError("no patterns: every data set needs at least one pattern with its score")
    one_kind("presets", (r.preset for r in rankings if r.preset is not None))
    one_kind("spaces", (r.space for r in rankings if r.space is not None))
    scored = [v.pattern for ranking in rankings for v in ranking.voters]
    check_lengths(scored)
    members = tuple(itertools.chain.from_iterable(_elect(r.voters, selectors, len(rankings)) for r in rankings))
    layers, shares, support = _vote(members, memory)
    pattern = Pattern(layers)
    return Aggregate(
        pattern=pattern,
        method="nall" if memory is None else f"n{memory}",
        selectors=tuple(selectors),
        members=members,
        shares=shares,
        support=support,
        evaluated=pattern in scored,
    )


def outcomes(
    rankings: Sequence[Ranking],
    *,
    selections: Mapping[str, Sequence[Selector]] = SELECTIONS,
    methods: Sequence[str] = METHODS,
) -> tuple[Elected, ...]:
    """Every distinct pattern that some selection and method elect, the most often elected first."""
    elected: dict[Pattern, list[tuple[str, str]]] = {}
    evaluated = {}
    for (name, selectors), method in itertools.product(selections.items(), methods):
        result = combine(rankings, selectors=selectors, method=method)
        elected.setdefault(result.pattern, []).append((name, result.method))
        evaluated[result.pattern] = result.evaluated
    found = (Elected(pattern=p, elected_by=tuple(by), evaluated=evaluated[p]) for p, by in elected.items())
    return tuple(sorted(found, key=lambda o: -len(o.elected_by)))


def _vote(
    members: Voters, memory: int | None
) -> tuple[tuple[str, ...], tuple[dict[str, float], ...], tuple[float, ...]]:
    """The chosen layers, and per layer the shares of the votes and the weight of those who voted."""
    chosen: tuple[str, ...] = ()
    shares, support = [], []
    for i in range(len(members[0].pattern)):
        seen = 0 if memory is None else max(0, i - memory)
        voters = [v for v in members if v.pattern.layers[seen:i] == chosen[seen:]]
        assert voters, "every chosen layer came from a voter who agrees with the layers before it"
        votes: Counter[str] = Counter()
        first: dict[str, int] = {}
        for v in voters:
            layer = v.pattern.layers[i]
            votes[layer] += v.weight
            first[layer] = min(v.rank, first.get(layer, v.rank))
        total = votes.total()
        chosen += (min(votes, key=lambda p: (-votes[p], first[p], tokens().index(p))),)
        shares.append({p: float(votes[p] / total) for p in tokens() if p in votes})
        support.append(float(total))
    return chosen, tuple(shares), tuple(support)


def _elect(voters: Voters, selectors: Sequence[Selector], datasets: int) -> Voters:
    """The voters of one data set after all selectors, with a total weight of 1 / datasets."""
    for selector in selectors:
        voters = selector.select(voters)
    total = sum(v.weight for v in voters) * datasets
    return tuple(dataclasses.replace(v, weight=v.weight / total) for v in voters)


def _memory(method: str) -> int | None:
    """How many chosen layers the vote looks at; None: all."""
    match = re.fullmatch(r"n_?(all|[0-9]+)", str(method).lower())
    if match is None:
        raise ValueError(f"{choices.unknown('method', method, list(METHODS))}, or n<c> for c layers")
    return None if match[1] == "all" else int(match[1])
