"""What a report claims about a search."""

import dataclasses

import pytest
import synthetic_run

from aira_jax.reports.run.verdict import Claim, scores_by_seed, verdict
from aira_jax.runs import view as views
from aira_jax.search.log import events
from aira_jax.search.log.heldout import TestScore, TestScores


def with_scores(view, chosen, first):
    """The run with these test scores for the submitted node and the first draft, and no others."""
    nodes = {view.submitted.node.id: chosen, view.first_draft.node.id: first}
    scores = {
        node: TestScore(node, values[0], "ok", None, dict(enumerate(values[1:], 1)))
        for node, values in nodes.items()
        if values
    }
    bare = tuple(
        dataclasses.replace(n, executions=tuple(e for e in n.executions if e.split != "test")) for n in view.nodes
    )
    return dataclasses.replace(view, nodes=bare, tests=TestScores(scores))


@pytest.mark.parametrize(
    "chosen, first, claim, words",
    [
        ([0.60, 0.62, 0.61], [0.50, 0.51, 0.49], Claim.BEYOND, "more than the spread over seeds (0.0200)"),
        ([0.60, 0.66, 0.63], [0.60, 0.61, 0.62], Claim.WITHIN, "not more than the spread over seeds (0.0600)"),
        ([0.60, 0.62], [0.50], Claim.BEYOND, "0.5000, one seed"),
        ([0.50, 0.52], [0.60, 0.61], Claim.WORSE, "worse by 0.0950, the search found nothing better"),
        ([0.60], [0.50], Claim.UNKNOWN, "One seed each"),
        ([], [], Claim.UNKNOWN, "not known"),
    ],
)
def test_the_claim_follows_the_repeats(small_view, chosen, first, claim, words):
    found = verdict(with_scores(small_view, chosen, first))
    assert found.claim is claim
    assert words in found.sentence


def test_where_lower_is_better_a_smaller_loss_is_better(tmp_path):
    shape = synthetic_run.Shape(nodes=30, seed=1, lower_is_better=True)
    view = views.RunView.read(synthetic_run.write(tmp_path / "run", shape))
    assert view.submitted.node.id != view.first_draft.node.id
    assert verdict(with_scores(view, [0.4, 0.41], [0.6, 0.61])).claim is Claim.BEYOND
    assert verdict(with_scores(view, [0.6, 0.61], [0.4, 0.41])).claim is Claim.WORSE


def test_the_first_draft_as_the_best_is_said_to_be_unbeaten(tmp_path):
    view = views.RunView.read(synthetic_run.write(tmp_path / "run", synthetic_run.Shape(nodes=1)))
    assert verdict(view).claim is Claim.FIRST


def test_nothing_scored_claims_nothing(small_run):
    records = events.read(small_run)[:4]
    view = views.fold(records, events.Blobs(small_run / "blobs"))
    assert verdict(view).claim is Claim.NOTHING


def test_a_confirmation_replaces_the_scores_that_chose_the_node(small_run):
    records = [r for r in events.read(small_run) if r["kind"] != "test_result" and r.get("phase") != "score_test"]
    view = views.fold(records, events.Blobs(small_run / "blobs"))
    chosen, first = view.submitted.node.id, view.first_draft.node.id
    fresh = [
        {
            "kind": "exec_end",
            "node": node,
            "phase": "score_validation",
            "seed": seed,
            "status": "ok",
            "device_s": 1.0,
            "mono": 1.0,
            "result": {"value": value + 0.001 * seed},
        }
        for node, value in ((chosen, 0.4), (first, 0.45))
        for seed in (1, 2, 3)
    ]
    view = views.fold([*records, *fresh], events.Blobs(small_run / "blobs"))
    assert set(scores_by_seed(view.nodes[chosen], view)["validation"]) == {1, 2, 3}
    found = verdict(view)
    assert found.claim is Claim.WORSE
    assert found.sentence.startswith("On validation with fresh seeds")


@pytest.mark.parametrize(
    "curves, claim, words",
    [
        ([2.0, 2.02, 1.99], Claim.BEYOND, "better than the first draft by 0.3000 +- 0.0000 on fresh seeds (3 pairs"),
        ([2.3, 2.5, 2.1], Claim.WITHIN, "a tie with the first draft: better by 0.0033 +- 0.4"),
        ([2.6, 2.62, 2.59], Claim.WORSE, "worse than the first draft by 0.3000"),
    ],
)
def test_a_run_with_a_signal_is_judged_by_it_over_pairs_of_fresh_seeds(small_view, curves, claim, words):
    start = {**small_view.tree.run, "config": {"eval": {"signal": "curve"}}}
    chosen, first = small_view.submitted.node.id, small_view.first_draft.node.id
    signals = [(first, seed, value) for seed, value in enumerate([2.3, 2.32, 2.29], 1)]
    signals += [(chosen, seed, value) for seed, value in enumerate(curves, 1)]
    tree = dataclasses.replace(small_view.tree, run=start, confirmed_signals=tuple(signals))
    found = verdict(dataclasses.replace(small_view, tree=tree))
    assert found.claim is claim
    assert words in found.sentence
