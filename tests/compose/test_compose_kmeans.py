"""Optimal one-dimensional k-means against all possible splits."""

import itertools
import random
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aira_jax.compose.kmeans import cluster_sizes


def split(values, sizes):
    ends = list(itertools.accumulate(sizes, initial=0))
    return [values[i:j] for i, j in itertools.pairwise(ends)]


def cost(cluster):
    mean = sum(cluster, Fraction(0)) / len(cluster)
    return sum((x - mean) ** 2 for x in cluster)


def all_sizes(n, clusters):
    for cuts in itertools.combinations(range(1, n), clusters - 1):
        yield tuple(j - i for i, j in itertools.pairwise((0, *cuts, n)))


@settings(deadline=None)
@given(values=st.lists(st.integers(0, 30), min_size=1, max_size=9), clusters=st.integers(1, 5))
def test_no_split_is_better(values, clusters):
    values = sorted(map(Fraction, values), reverse=True)
    if len(set(values)) < clusters:
        with pytest.raises(ValueError, match=f"{clusters} distinct scores, got {len(set(values))}"):
            cluster_sizes(values, clusters)
        return
    found = cluster_sizes(values, clusters)
    groups = split(values, found)
    assert sum(found) == len(values)
    assert all(a[-1] != b[0] for a, b in itertools.pairwise(groups))
    best = min(sum(map(cost, split(values, sizes))) for sizes in all_sizes(len(values), clusters))
    assert sum(map(cost, groups)) == best


def test_it_finds_what_lloyd_misses():
    values = [Fraction(x) for x in (0, 1, 2, 50, 51, 100)]
    assert cluster_sizes(values, 3) == (3, 2, 1)


def test_equal_costs_go_to_the_earlier_cluster():
    assert cluster_sizes([Fraction(x) for x in (4, 3, 2, 1)], 3) == (2, 1, 1)
    assert cluster_sizes([Fraction(x) for x in (1, 2, 3)], 2) == (2, 1)


def test_close_scores_are_told_apart():
    values = [Fraction(10**15 + x, 10**15) for x in (9, 8, 7, 2, 1)]
    assert cluster_sizes(values, 2) == (3, 2)


def test_clusters_stay_right_on_many_values():
    rng = random.Random(0)
    values = sorted(
        (Fraction(round(rng.gauss(mean, 1), 6)) for mean in (0, 100, 300) for _ in range(400)), reverse=True
    )
    assert cluster_sizes(values, 3) == (400, 400, 400)


def test_no_cluster_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        cluster_sizes([Fraction(1)], 0)
