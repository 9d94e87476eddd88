"""Aggregation: worked examples, ties, empty sets, and what must hold for any vote."""

import json
import random
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aira_jax.compose import recipes
from aira_jax.compose.aggregate import METHODS, SELECTIONS, aggregate, combine, outcomes
from aira_jax.compose.voters import KMeansTop, RankDecay, TopK, rank
from aira_jax.patterns import Pattern, PatternError, parse

PRIMITIVES = ("A", "M", "Mb")
EXAMPLE = ["AMAA", "AMAM", "MMAA", "MMMM", "MMMM"]
SCORES = [0.70, 0.69, 0.68, 0.55, 0.54, 0.40, 0.39, 0.38]
PATTERNS = st.lists(st.lists(st.sampled_from(PRIMITIVES), min_size=5, max_size=5).map(tuple), min_size=1, max_size=12)


@pytest.mark.parametrize("method, elected", [("n0", "MMAM"), ("n1", "MMAA"), ("nall", "MMMM"), ("N_all", "MMMM")])
def test_the_combiners_differ(method, elected):
    assert aggregate(EXAMPLE, [0.5] * 5, method=method, clusters=None).compact() == elected


def test_shares_count_only_the_voters_who_agree_so_far():
    result = combine([rank(EXAMPLE, [0.5] * 5)], method="nall")
    assert result.shares == ({"A": 0.4, "M": 0.6}, {"M": 1.0}, {"A": 1 / 3, "M": 2 / 3}, {"M": 1.0})
    assert result.support == (1.0, 0.6, 0.6, 0.4)
    assert len(result.members) == 5
    assert sum(v.weight for v in result.members) == 1


def test_the_result_says_whether_it_was_ever_evaluated():
    ranking = rank(EXAMPLE, [0.5] * 5)
    assert not combine([ranking], method="n0").evaluated
    assert combine([ranking], method="nall").evaluated


def test_kmeans_takes_the_top_cluster():
    ranking = rank(["A"] * 8, SCORES[::-1])
    assert [v.score for v in KMeansTop(3).select(ranking.voters)] == [0.70, 0.69, 0.68]
    losses = rank(["A"] * 8, SCORES, higher_is_better=False)
    assert [v.score for v in KMeansTop(3).select(losses.voters)] == [0.38, 0.39, 0.40]


def test_rank_decay_weights():
    ranking = rank(["A"] * 30, [1 - i / 100 for i in range(30)])
    members = combine([ranking], selectors=[RankDecay(0.5, 20)]).members
    assert len(members) == 20
    assert [round(float(v.weight), 5) for v in members[:5]] == [0.39349, 0.23866, 0.14476, 0.08780, 0.05325]


def test_decay_lets_the_best_outvote_the_rest():
    patterns, scores = ["MM", "AA", "AA"], [0.9, 0.8, 0.7]
    assert aggregate(patterns, scores, clusters=None) == parse("AA")
    assert aggregate(patterns, scores, clusters=None, weights="rank_decay") == parse("MM")  # 1 > 0.607 + 0.368
    assert combine([rank(patterns, scores)], selectors=[RankDecay(0.25)]).pattern == parse("AA")  # 1 < 0.779 + 0.607


def test_weights_count_as_repetitions():
    patterns, scores = ["MM", "AM", "AA"], [0.9, 0.8, 0.7]
    repeated = aggregate(["MM", "AM", "AA", "AA", "AA"], [0.9, 0.8, 0.7, 0.7, 0.7], clusters=None)
    assert aggregate(patterns, scores, clusters=None, weights=[1, 1, 3]) == repeated == parse("AA")


def test_a_tie_goes_to_the_better_ranked_voter():
    assert aggregate(["AA", "MM"], [0.6, 0.7], clusters=None) == parse("MM")
    assert aggregate(["AA", "MM"], [0.6, 0.7], clusters=None, higher_is_better=False) == parse("AA")


def test_equal_scores_rank_in_the_order_of_the_canonical_strings():
    assert [str(v.pattern) for v in rank(["MA", "2A", "AM"], [0.5] * 3).voters] == ["2A", "A-M", "M-A"]
    assert aggregate(["MA", "AM"], [0.5] * 2, clusters=None) == parse("AM")


def test_a_tie_between_equal_ranks_goes_in_the_order_of_the_primitives():
    rankings = [rank(["Mb", "M"], [0.9, 0.1]), rank(["M", "Mb"], [0.9, 0.1])]
    assert combine(rankings).pattern == combine(rankings[::-1]).pattern == parse("M")


def test_exact_votes_make_real_ties():
    tenths = [0.1, 0.2, 0.3]  # 0.1 + 0.2 > 0.3 in floats
    assert aggregate(["AA", "AA", "MM"], [0.1, 0.2, 0.3], clusters=None, weights=tenths) == parse("MM")


def test_data_sets_have_equal_weight_however_many_patterns_they_hold():
    many = rank(["A"] * 9, [0.5] * 9)
    few = rank(["M"], [3.0], higher_is_better=False)
    result = combine([many, few])
    assert result.shares == ({"A": 0.5, "M": 0.5},)
    assert [v.weight for v in result.members] == 9 * [Fraction(1, 18)] + [Fraction(1, 2)]
    assert combine([many, few, few]).pattern == parse("M")


@settings(deadline=None)
@given(layers=PATTERNS, method=st.sampled_from([*METHODS, "n2", "n7"]), data=st.data())
def test_any_vote(layers, method, data):
    patterns = [Pattern(p) for p in layers]
    scores = data.draw(st.lists(st.floats(-1, 1), min_size=len(patterns), max_size=len(patterns), unique=True))
    result = combine([rank(patterns, scores)], method=method)
    order = data.draw(st.permutations(range(len(patterns))))
    again = combine([rank([patterns[i] for i in order], [scores[i] for i in order])], method=method)
    assert again.pattern == result.pattern
    for i, shares in enumerate(result.shares):
        assert sum(shares.values()) == pytest.approx(1)
        assert shares[result.pattern.layers[i]] == max(shares.values())
    if method in ("nall", "n7"):
        assert result.pattern in patterns
    if len(set(layers)) == 1:
        assert result.pattern == patterns[0]


@settings(deadline=None)
@given(layers=PATTERNS)
def test_n0_is_the_mode_of_every_layer(layers):
    result = combine([rank([Pattern(p) for p in layers], range(len(layers)))])
    for i, chosen in enumerate(result.pattern.layers):
        column = [p[i] for p in layers]
        assert column.count(chosen) == max(map(column.count, column))


def test_outcomes_list_every_distinct_pattern_once():
    rng = random.Random(1)
    patterns = ["".join(rng.choices(PRIMITIVES, k=6)) for _ in range(60)]
    ranking = rank(patterns, [rng.random() for _ in patterns])
    listed = outcomes([ranking])
    assert len({o.pattern for o in listed}) == len(listed) > 1
    assert sum(len(o.elected_by) for o in listed) == len(SELECTIONS) * len(METHODS)
    for outcome in listed:
        for selection, method in outcome.elected_by:
            assert combine([ranking], selectors=SELECTIONS[selection], method=method).pattern == outcome.pattern


def test_selectors_compose():
    ranking = rank(["A"] * 8, SCORES)
    members = combine([ranking], selectors=[KMeansTop(3), TopK(2), RankDecay(1.0)]).members
    assert [v.score for v in members] == [0.70, 0.69]
    assert float(members[0].weight / members[1].weight) == pytest.approx(2.718281828)


def test_the_result_is_plain_json():
    result = combine([rank(EXAMPLE, [0.5] * 5)], selectors=[TopK(3)], method="n1")
    facts = json.loads(json.dumps(result.to_json()))
    assert facts["selectors"] == {"TopK": {"k": 3}}
    assert facts["pattern"] == result.pattern.canonical()
    assert [m["rank"] for m in facts["members"]] == [1, 2, 3]


def test_two_and_a_half_thousand_patterns_give_one_answer_in_any_order():
    rng = random.Random(0)
    patterns = ["".join(rng.choices(PRIMITIVES, k=16)) for _ in range(2500)]
    scores = [round(rng.gauss(0.5, 0.1), 3) for _ in patterns]
    order = rng.sample(range(2500), 2500)
    shuffled = aggregate([patterns[i] for i in order], [scores[i] for i in order], method="n1")
    assert aggregate(patterns, scores, method="n1") == shuffled


@pytest.mark.parametrize(
    "args, words",
    [
        ({"patterns": [], "scores": []}, ["no patterns"]),
        ({"patterns": ["AM"], "scores": [1, 2]}, ["1 patterns and 2 scores"]),
        ({"patterns": ["AM", "AMM"], "scores": [1, 2]}, ["pattern 2", "3 layers", "pattern 1", "2"]),
        ({"patterns": ["AM", "AA"], "scores": [1, 2]}, ["3 clusters need 3 distinct scores, got 2", "fewer clusters"]),
        ({"patterns": ["AM"] * 4, "scores": [1, 1, 2, 2]}, ["3 distinct scores, got 2"]),
        ({"patterns": ["AM", "AA"], "scores": [1, float("nan")]}, ["score of pattern 2", "nan", "leave out"]),
        ({"patterns": ["AM"], "scores": [1], "method": "n_x", "clusters": None}, ["'n_x'", "n0, n1, nall"]),
        ({"patterns": ["AM"], "scores": [1], "weights": "rank_deacy"}, ['did you mean "rank_decay"']),
        (
            {"patterns": ["AM"], "scores": [1], "weights": [0], "clusters": None},
            ["weight of pattern 1", "not positive"],
        ),
        ({"patterns": ["AM"], "scores": [1], "weights": [1, 2]}, ["1 patterns and 2 weights"]),
        (
            {"patterns": ["AM", "AA"], "scores": [1, 2], "presets": ["cpu-s", "paper"]},
            ["mixed presets", "cpu-s", "paper"],
        ),
        ({"patterns": ["AM", "AA"], "scores": [1, 2], "spaces": [2, 3]}, ["mixed spaces", "1 of 2", "1 of 3"]),
        ({"patterns": ["AM", "AMb"], "scores": [1, 2], "spaces": [2, 2]}, ["Mb does not belong to this space"]),
        ({"patterns": ["AM", "A-X"], "scores": [1, 2]}, ["unknown symbol", "position 2"]),
    ],
)
def test_bad_input_names_the_mend(args, words):
    with pytest.raises(ValueError) as error:
        aggregate(**args)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_unparsable_patterns_keep_their_position():
    with pytest.raises(PatternError) as error:
        rank(["A-X"], [1.0])
    assert error.value.pos == 2


def test_data_sets_of_different_kinds_are_not_mixed():
    with pytest.raises(ValueError, match="mixed presets"):
        combine([rank(["A"], [1], presets=["cpu-s"]), rank(["A"], [1], presets=["paper"])])
    with pytest.raises(ValueError, match="mixed spaces"):
        combine([rank(["A"], [1], spaces=[2]), rank(["A"], [1], spaces=[3])])
    with pytest.raises(ValueError, match="one length"):
        combine([rank(["A"], [1]), rank(["AA"], [1])])
    with pytest.raises(ValueError, match="no patterns"):
        combine([])


def test_selectors_refuse_what_they_cannot_do():
    voters = rank(["A", "M"], [1, 2]).voters
    with pytest.raises(ValueError, match="choose k from 1 to 2"):
        TopK(3).select(voters)
    with pytest.raises(ValueError, match="decay"):
        RankDecay(-1.0)
    assert [v.weight for v in RankDecay(0.0).select(voters)] == [Fraction(1), Fraction(1)]


def test_recipes_name_their_data_sets():
    ranking = rank([f"{p}-A" for p in ("A", "M", "A", "M")], [0.9, 0.5, 0.4, 0.1])
    for name in recipes.RECIPES:
        recipe = recipes.get(name)
        if name == "AIRAformer-B":
            with pytest.raises(ValueError, match="top 400 of 4"):
                recipe.elect({"MAD": ranking})
        else:
            listed = recipe.elect(dict.fromkeys(recipe.datasets, ranking))
            assert sum(len(o.elected_by) for o in listed) == len(recipe.selections) * len(METHODS)
    with pytest.raises(ValueError, match="no ranking of BabiStories, DCLM"):
        recipes.get("AIRAformer-A").elect({"MAD": ranking})
    with pytest.raises(ValueError, match='did you mean "AIRAformer-A"'):
        recipes.get("AIRAformer_A")
