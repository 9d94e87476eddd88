"""What a study comes to, from event logs to figures: agents, cells, groups, differences, designs, ranges."""

import pytest
import study_runs
from study_runs import CONFIGURABLE, LISTOPS, LOSS, MAD, MODEL, TEXT, Node

from aira_jax.runs import studies
from aira_jax.statistics import best, contrasts, groups, ranges, summary, tables
from aira_jax.statistics.bootstrap import Estimate
from aira_jax.statistics.contrasts import Measure, Verdict
from aira_jax.statistics.groups import AgentKind
from aira_jax.statistics.study import StudyOptions

CONTROL = {"agent": "greedy-control.random", "backend": "control.random"}


def summed(folder, **choice):
    return summary.summarise(studies.study([folder], StudyOptions(**choice)))


def submit(folder, scores, *, task=LISTOPS, **options):
    """A run per test score with one node; None: an invalid run."""
    for seed, score in enumerate(scores):
        node = Node(None) if score is None else Node(score, score)
        study_runs.write(folder, [node], task=task, seed=seed, **options)


def test_invalid_runs_count_as_zero_in_normalised_scores_and_not_in_raw_ones(tmp_path):
    submit(tmp_path, [0.4415, 0.3637, 0.17, None, None])
    (cell,) = summed(tmp_path).cells
    assert cell.ns.value == pytest.approx(0.198761, abs=1e-6)
    assert (cell.runs, cell.valid, cell.vsr.value) == (5, 3, pytest.approx(0.6))
    assert (cell.test.value, cell.test.n) == (pytest.approx(0.325067, abs=1e-6), 3)


def test_an_agent_is_the_mean_of_its_task_means(tmp_path):
    """Rates 10/10, 7/10 and 0/10; the task without a scale counts in the rate alone."""
    submit(tmp_path, [0.6379] * 10)
    submit(tmp_path, [0.9053] * 7 + [None] * 3, task=TEXT)
    submit(tmp_path, [None] * 10, task=MAD)
    (agent,) = summed(tmp_path).agents
    assert agent.vsr.value == pytest.approx(0.566667, abs=1e-6)
    assert (agent.tasks, agent.normalised_tasks, agent.runs, agent.valid) == (3, 2, 30, 17)
    assert agent.ns.value == pytest.approx((1.0 + 0.7) / 2)
    assert agent.ns_iqm.value == 1.0  # 17 of 20 values are 1


def test_two_tasks_with_rates_of_seven_and_three_in_ten(tmp_path):
    submit(tmp_path, [0.4] * 7 + [None] * 3)
    submit(tmp_path, [0.6] * 3 + [None] * 7, task=TEXT)
    (agent,) = summed(tmp_path).agents
    assert (agent.vsr.value, agent.vsr.low, agent.vsr.high) == tuple(map(pytest.approx, (0.5, 0.3204953, 0.6795047)))
    (wide,) = summed(tmp_path, hierarchical=True).agents
    assert wide.vsr.low is None  # two tasks do not say how tasks vary


def test_the_observed_worst_and_the_literature_give_further_columns(tmp_path):
    submit(tmp_path, [0.3637, 0.4415])
    (cell,) = summed(tmp_path).cells
    assert cell.ns_observed.value == pytest.approx((0 + 0.231336) / 2, abs=1e-6)
    assert cell.ns_literature.value > cell.ns.value  # 0.6314 is easier to reach than 0.6379
    submit(tmp_path / "better", [0.7, 0.8])
    assert summed(tmp_path / "better").cells[0].ns_observed is None  # the worst is above the best known


def test_gaps_come_with_their_coverage(tmp_path):
    study_runs.write(tmp_path, [Node(0.5, 0.40), Node(0.4, 0.45), Node(0.3, tested=False)])
    study_runs.write(tmp_path, [Node(0.5, 0.50)], seed=1)
    (cell,) = summed(tmp_path).cells
    assert cell.generalisation_gap.value == pytest.approx(0.05)  # the second run tested its submission alone
    assert cell.val_test_gap.value == pytest.approx(0.05)
    assert (cell.good, cell.tested, cell.nodes) == (4, 3, 4)
    assert tables.gaps(summed(tmp_path)).to_json()[0]["coverage"] == 0.75


def test_the_best_found_is_over_valid_runs(tmp_path):
    study_runs.write(tmp_path, [Node(0.4, 0.4)])
    study_runs.write(tmp_path, [Node(0.4, 0.9)], seed=1, submit=False)
    assert summed(tmp_path).cells[0].best_test == Estimate(0.4, None, None, 1)


def test_one_call_without_a_price_leaves_an_agent_unpriced(tmp_path):
    study_runs.write(tmp_path, [Node(0.4, 0.4), Node(0.4, 0.4)])
    assert summed(tmp_path).agents[0].usd == 1.0
    study_runs.write(tmp_path, [Node(0.4, 0.4), Node(0.4, 0.4, usd=None)], seed=1)
    assert summed(tmp_path).agents[0].usd is None


def score_of(ns, worst=0.10, sota=0.6379):
    """The accuracy whose normalised score is `ns`."""
    return 1 - (1 - worst) * ((1 - sota) / (1 - worst)) ** ns


@pytest.fixture(scope="module")
def matrix(tmp_path_factory):
    """Twelve greedy agents at 0.257, eight one-shot agents without a valid run, one of MCTS, one control."""
    folder = tmp_path_factory.mktemp("matrix")
    for i in range(12):
        submit(folder, [score_of(0.257)], agent=f"greedy-{i}")
    for i in range(8):
        submit(folder, [None], agent=f"one_shot-{i}", scaffold="one_shot")
    submit(folder, [score_of(0.7)], agent="mcts-0", scaffold="mcts")
    submit(folder, [score_of(0.9)], **CONTROL)
    return folder


def test_agents_weigh_alike_and_controls_stand_apart(matrix):
    found = {group.kind: group for group in groups.groups(summed(matrix))}
    assert found[AgentKind.GREEDY].ns.value == pytest.approx(0.257)
    assert found[AgentKind.ALL].ns.value == pytest.approx(0.154, abs=1e-3)
    assert found[AgentKind.CONTROL].ns.value == pytest.approx(0.9)
    assert found[AgentKind.OTHER].ns.value == pytest.approx(0.7)
    assert [found[kind].agents for kind in AgentKind] == [12, 20, 1, 1]
    assert (found[AgentKind.ALL].published.value, found[AgentKind.CONTROL].published) == (0.154, None)


def test_every_agent_is_set_against_every_control(tmp_path):
    submit(tmp_path, [0.50 + 0.001 * i for i in range(10)])
    submit(tmp_path, [0.30 + 0.001 * i for i in range(10)], agent="greedy-weak")
    submit(tmp_path, [0.40 + 0.001 * i for i in range(10)], **CONTROL)
    found = contrasts.contrasts(summed(tmp_path))
    assert {(c.a, c.b) for c in found} == {("greedy-opus", CONTROL["agent"]), ("greedy-weak", CONTROL["agent"])}
    verdicts = {(c.a, c.measure): c.verdict for c in found}
    assert verdicts["greedy-opus", Measure.NS] is verdicts["greedy-opus", Measure.TEST] is Verdict.BETTER
    assert verdicts["greedy-weak", Measure.NS] is Verdict.WORSE
    assert verdicts["greedy-opus", Measure.VSR] is Verdict.OPEN
    test = next(c for c in found if (c.a, c.measure) == ("greedy-weak", Measure.TEST))
    assert test.difference.value == pytest.approx(-0.1)


def test_hierarchical_differences_also_hold_the_spread_of_tasks(tmp_path):
    for task, score in ((LISTOPS, 0.6), (TEXT, 0.9), (CONFIGURABLE, 0.7)):
        submit(tmp_path, [score] * 3, task=task)
        submit(tmp_path, [0.6] * 3, task=task, **CONTROL)
    seeds, tasks = (contrasts.contrasts(summed(tmp_path, hierarchical=h))[0].difference for h in (False, True))
    assert seeds.low == seeds.high == pytest.approx(seeds.value)
    assert tasks.low < 0 < seeds.value < tasks.high


def test_fewer_than_ten_runs_allow_no_claim(tmp_path):
    submit(tmp_path, [0.5] * 9)
    submit(tmp_path, [0.3] * 10, **CONTROL)
    assert {c.verdict for c in contrasts.contrasts(summed(tmp_path))} == {Verdict.FEW}


def test_a_difference_whose_interval_holds_zero_shows_nothing(tmp_path):
    submit(tmp_path, [0.40 + 0.02 * i for i in range(10)])
    submit(tmp_path, [0.39 + 0.02 * i for i in range(10)], **CONTROL)
    test = next(c for c in contrasts.contrasts(summed(tmp_path)) if c.measure is Measure.TEST)
    assert (test.difference.value, test.verdict) == (pytest.approx(0.01), Verdict.OPEN)


def test_where_lower_is_better_a_lower_loss_favours_the_agent(tmp_path):
    submit(tmp_path, [2.0] * 10, task=LOSS)
    submit(tmp_path, [3.0] * 10, task=LOSS, **CONTROL)
    (rate, test) = contrasts.contrasts(summed(tmp_path))
    assert (test.measure, test.verdict, test.difference.value) == (Measure.TEST, Verdict.BETTER, 1.0)
    assert rate.measure is Measure.VSR


def test_agents_are_compared_on_the_tasks_that_both_ran(tmp_path):
    submit(tmp_path, [0.5, 0.6])
    submit(tmp_path, [0.9, 0.9], task=TEXT)
    submit(tmp_path, [0.4, 0.5], **CONTROL)
    found = contrasts.contrasts(summed(tmp_path))
    assert {task.name for c in found for task in c.tasks} == {LISTOPS}


def test_a_pair_can_be_asked_for_and_must_make_sense(tmp_path):
    submit(tmp_path, [0.5, 0.6])
    submit(tmp_path, [0.4, 0.5], agent="greedy-weak")
    submit(tmp_path, [0.4, 0.5], agent="elsewhere", task=MAD)
    of = summed(tmp_path)
    assert contrasts.contrasts(of) == ()
    assert {(c.a, c.b) for c in contrasts.contrasts(of, [("greedy-weak", "greedy-opus")])} == {
        ("greedy-weak", "greedy-opus")
    }
    with pytest.raises(ValueError, match='did you mean "greedy-opus"'):
        contrasts.contrasts(of, [("greedy-opu", "greedy-weak")])
    with pytest.raises(ValueError, match="greedy-opus against itself"):
        contrasts.contrasts(of, [("greedy-opus", "greedy-opus")])
    with pytest.raises(ValueError, match="no task in common"):
        contrasts.contrasts(of, [("greedy-opus", "elsewhere")])


def test_the_best_design_is_the_best_submission_on_test(tmp_path):
    files = {"model.py": MODEL.format(lr="5e-4")}
    study_runs.write(tmp_path, [Node(0.5, 0.60), Node(0.6, 0.45)], task=CONFIGURABLE)
    study_runs.write(tmp_path, [Node(0.4, 0.50, plan="Bi-SSM. More.", files=files)], seed=1, task=CONFIGURABLE)
    (found,) = best.designs_found(studies.study([tmp_path]))
    assert (found.seed, found.node, found.test, found.plan) == (1, 0, 0.50, "Bi-SSM. More.")
    assert found.changed == {"EMB_DIM": 32, "LR": 5e-4}
    assert (found.published.design, found.published.accuracy) == ("listops_dwconv_bilinattn", 0.5050)


def test_the_best_design_has_the_lowest_loss(tmp_path):
    submit(tmp_path, [3.0, 2.0, 4.0], task=LOSS)
    assert [design.test for design in best.designs_found(studies.study([tmp_path]))] == [2.0]


def test_explored_ranges_are_of_valid_nodes_beside_the_published_ones(tmp_path):
    nodes = [Node(0.4, files={"model.py": MODEL.format(lr=lr)}) for lr in ("1e-3", "5e-4", "1e-3")]
    nodes += [Node(None, files={"model.py": MODEL.format(lr="9e-3")}), Node(0.1, files={"model.py": "LR = f()"})]
    study_runs.write(tmp_path, nodes, task=CONFIGURABLE)
    found = {r.name: r for r in ranges.explored(studies.study([tmp_path]))}
    lr = found["LR"]
    assert (lr.low, lr.high, lr.distinct, lr.default) == (5e-4, 1e-3, 2, 1e-4)
    assert (lr.steps, lr.unreadable) == (3, 1)
    assert (lr.published_low, lr.published_high, lr.published_distinct) == (5e-5, 4e-3, 18)
    assert (found["NUM_LAYERS"].low, found["NUM_LAYERS"].high) == (4, 4)


def test_tasks_that_fix_hyper_parameters_have_no_explored_ranges(tmp_path):
    submit(tmp_path, [0.4])
    assert ranges.explored(studies.study([tmp_path])) == ()


def test_improvements_are_the_cumulative_bests(tmp_path):
    nodes = [Node(None), Node(3.0), Node(3.5), Node(2.9), Node(2.9), Node(2.5)]
    study_runs.write(tmp_path, nodes, task=LOSS)
    (row,) = studies.study([tmp_path]).rows
    found = best.improvements(row)
    assert [i.step.step for i in found] == [2, 4, 6]
    assert [i.gain for i in found] == [None, pytest.approx(0.1), pytest.approx(0.4)]


def test_the_best_seed_is_by_test_and_without_one_by_validation(tmp_path):
    submit(tmp_path, [0.4, 0.6, 0.5])
    study_runs.write(tmp_path, [Node(0.3, tested=False)], agent="untested")
    study_runs.write(tmp_path, [Node(0.4, tested=False)], agent="untested", seed=1)
    assert [(r.agent, r.seed) for r in best.best_seeds(studies.study([tmp_path]))] == [
        ("greedy-opus", 1),
        ("untested", 1),
    ]
