"""Optimal one-dimensional k-means, by dynamic programming in exact arithmetic.

In one dimension every optimal cluster is an interval of the sorted values, so the best split into k intervals is found
exactly, without a random start. The best last boundary never moves back as values are added, which leaves
O(k n log n) interval costs to look at (divide and conquer).
"""

import itertools
import math
from collections.abc import Iterable, Sequence
from fractions import Fraction

CLUSTERS = 3  # of the paper
FEW = 5  # fewer voters than this are an example of the method, no finding


def cluster_sizes(values: Sequence[Fraction], clusters: int) -> tuple[int, ...]:
    """Sizes of the `clusters` intervals of sorted `values` (either direction) with the least sum of squares.

    Equal values stay together. Among equally good splits every boundary lies as far to the end as it can. Raises
    ValueError if there are fewer distinct values than clusters.
    """
    groups = [(value, len(list(same))) for value, same in itertools.groupby(values)]
    if clusters < 1:
        raise ValueError(f"{clusters} clusters: at least 1 is needed")
    if len(groups) < clusters:
        raise ValueError(
            f"{clusters} clusters need {clusters} distinct scores, got {len(groups)}: ask for fewer clusters"
        )
    ends = _ends(_Costs(groups), len(groups), clusters)
    counts = list(itertools.accumulate((n for _, n in groups), initial=0))
    return tuple(counts[j] - counts[i] for i, j in itertools.pairwise((0, *ends)))


def usual_clusters(rankings: Iterable[Sequence[Fraction]]) -> int:
    """The k whose best cluster votes: 3 as in the paper, or fewer where it would hold fewer than 5 of a ranking.

    `rankings` are sorted scores, best first, one sequence per task. 1 means that all vote.
    """
    found = list(rankings)

    def enough(scores: Sequence[Fraction], clusters: int) -> bool:
        return len(set(scores)) >= clusters and cluster_sizes(scores, clusters)[0] >= FEW

    return next((k for k in range(CLUSTERS, 1, -1) if all(enough(scores, k) for scores in found)), 1)


class _Costs:
    """The sum of squared distances to the mean, of any interval of groups, from prefix sums in integers."""

    def __init__(self, groups: Sequence[tuple[Fraction, int]]):
        scale = math.lcm(*(value.denominator for value, _ in groups))
        scaled = [(int(value * scale), n) for value, n in groups]
        self.n = list(itertools.accumulate((n for _, n in scaled), initial=0))
        self.sum = list(itertools.accumulate((x * n for x, n in scaled), initial=0))
        self.squares = list(itertools.accumulate((x * x * n for x, n in scaled), initial=0))

    def __call__(self, i: int, j: int) -> Fraction:
        n = self.n[j] - self.n[i]
        total = self.sum[j] - self.sum[i]
        return Fraction(n * (self.squares[j] - self.squares[i]) - total * total, n)


def _ends(cost: _Costs, n: int, clusters: int) -> tuple[int, ...]:
    """Where each interval ends, the last at n."""
    best = {j: cost(0, j) for j in range(1, n + 1)}
    starts = []  # starts[c][j]: where the last of c + 2 intervals over the first j groups begins
    for c in range(1, clusters):
        best, start = _one_more(cost, best, c, n)
        starts.append(start)
    ends = [n]
    for start in reversed(starts):
        ends.append(start[ends[-1]])
    return tuple(reversed(ends))


def _one_more(cost: _Costs, best: dict[int, Fraction], c: int, n: int) -> tuple[dict[int, Fraction], dict[int, int]]:
    """The best costs with c + 1 intervals over the first j groups from those with c, and the last interval's start."""
    grown, start = {}, {}
    pending = [(c + 1, n, c, n - 1)]  # ends lo..hi whose best start lies in first..last
    while pending:
        lo, hi, first, last = pending.pop()
        if lo > hi:
            continue
        j = (lo + hi) // 2
        grown[j], minus = min((best[i] + cost(i, j), -i) for i in range(first, min(j - 1, last) + 1))
        start[j] = -minus
        pending += [(lo, j - 1, first, start[j]), (j + 1, hi, start[j], last)]
    return grown, start
