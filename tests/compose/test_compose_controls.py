"""Proposers without a model: nothing evaluated is proposed again, stopping changes nothing, the good ones are good."""

import itertools
import json
import statistics
import time

import control_lab
import numpy as np
import pytest
from scipy import integrate
from scipy.stats import norm

from aira_jax.controls import bo, incremental, methods, moves, trials
from aira_jax.controls.study import Study
from aira_jax.controls.trials import Exhausted, Method, Options, Region, Trial
from aira_jax.patterns import Pattern, hamming, parse
from aira_jax.proxies import fidelity
from aira_jax.search import run
from aira_jax.search.log import events
from aira_jax.tasks.compose import space as compose
from aira_jax.tasks.evaluation import SubmissionError

pytest.importorskip("sklearn", reason="Bayesian optimisation needs the extra `bo` (scikit-learn)")

TWO, THREE = Region(("A", "M"), 16), Region(("A", "M", "Mb"), 16)
WHOLE = (Method.RANDOM, Method.MUTATE, Method.BO)
GROWING = (Method.END_INCREMENTAL, Method.MIDDLE_INCREMENTAL)


def go_on(study, n, score=control_lab.boundaries):
    for _ in range(n):
        (proposal,) = study.ask()
        study.tell(proposal.pattern, score(proposal.pattern))
    return [trial.pattern for trial in study.trials]


@pytest.mark.parametrize("method", [*WHOLE, *GROWING])
@pytest.mark.parametrize("primitives", [("A", "M"), ("A", "M", "Mb")])
def test_no_pattern_is_proposed_twice_and_a_stopped_study_goes_on_alike(method, primitives):
    region, options = Region(primitives, 8), Options(per_round=4, trials=40)
    whole = go_on(Study(method, region, seed=3, options=options), 13)
    first = Study(method, region, seed=3, options=options)
    go_on(first, 10)
    state = json.loads(json.dumps(first.state_dict()))
    second = Study(method, region, seed=3, options=options)
    second.load_state_dict(state)
    assert go_on(second, 3) == whole
    assert len(set(whole)) == len(whole)


@pytest.mark.parametrize("method", WHOLE)
def test_a_batch_holds_distinct_patterns(method):
    study = Study(method, TWO, seed=0)
    go_on(study, 17)
    batch = [proposal.pattern for proposal in study.ask(4)]
    assert len({*batch, *(t.pattern for t in study.trials)}) == 21


@pytest.mark.parametrize("method", [Method.RANDOM, Method.MUTATE, Method.BO, Method.EXHAUSTIVE])
def test_a_small_region_is_used_up_and_then_exhausted(method):
    study = Study(method, Region(("A", "M"), 4), seed=1)
    assert len(set(go_on(study, 16))) == 16
    with pytest.raises(Exhausted, match="all 16 patterns of 4 layers"):
        study.ask()


@pytest.mark.parametrize("primitives, size", [(("A", "M"), 64), (("A", "M", "Mb"), 729)])
def test_exhaustive_visits_all_patterns_of_six_layers_once_each(primitives, size):
    visited = go_on(Study(Method.EXHAUSTIVE, Region(primitives, 6), seed=0), size)
    assert sorted(p.layers for p in visited) == sorted(itertools.product(primitives, repeat=6))


def test_exhaustive_refuses_a_large_region_unless_it_is_forced():
    with pytest.raises(ValueError, match=r"2\^16 = 65,536 patterns are too many(.|\n)*layers=6"):
        Study(Method.EXHAUSTIVE, TWO, seed=0)
    assert Study(Method.EXHAUSTIVE, TWO, seed=0, options=Options(force=True)).ask()[0].pattern == parse("16A")


def test_all_searches_of_a_seed_share_their_first_designs():
    first = [go_on(Study(method, TWO, seed=5), 8) for method in WHOLE]
    assert first[0] == first[1] == first[2]


def test_bo_leaves_the_random_designs_after_as_many_as_its_option_says():
    random, few = (go_on(Study(method, TWO, seed=5, options=Options(initial=4)), 6) for method in WHOLE[::2])
    assert (random[:4] == few[:4], random[4:] != few[4:]) == (True, True)


def finds(method, seed, n):
    study = Study(method, TWO, seed=seed)
    go_on(study, n, lambda p: control_lab.boundaries(p, seed))
    return max(trial.quality for trial in study.trials)


@pytest.mark.slow
def test_bo_beats_random_over_ten_paired_seeds_at_forty_trials():
    differences = [finds(Method.BO, seed, 40) - finds(Method.RANDOM, seed, 40) for seed in range(10)]
    assert statistics.fmean(differences) > 0.5
    assert sum(difference > 0 for difference in differences) > 5


def test_bo_goes_where_the_score_rises():
    study = Study(Method.BO, Region(("A", "M"), 8), seed=0)
    go_on(study, 14, lambda p: float(p.counts()["A"]))
    assert statistics.fmean(t.quality for t in study.trials[8:]) > 2 + statistics.fmean(
        t.quality for t in study.trials[:8]
    )


def observed(region, n, seed=0):
    rng = np.random.default_rng(seed)
    patterns = list(dict.fromkeys(region.sample(rng) for _ in range(n)))
    return [Trial(p, control_lab.boundaries(p)) for p in patterns]


def test_bo_with_failed_trials_avoids_their_neighbours():
    history = observed(TWO, 30)
    broken = [Trial(t.pattern, None if t.pattern.layers[0] == "A" else t.quality) for t in history]
    rng = np.random.default_rng(0)
    assert methods.propose(Method.BO, TWO, broken, rng=rng).pattern not in {t.pattern for t in broken}


def test_bo_names_the_missing_package(monkeypatch):
    monkeypatch.setattr(bo.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"needs scikit-learn: pip install 'aira-jax\[bo\]'"):
        Study(Method.BO, TWO, seed=0)
    with pytest.raises(ValueError, match="needs scikit-learn"):
        Study(Method.END_INCREMENTAL, THREE, seed=0)
    Study(Method.END_INCREMENTAL, TWO, seed=0)  # every round has all its choices tried: no model needed


def test_log_h_is_the_logarithm_of_the_standard_expected_improvement():
    u = np.array([-30.0, -8.0, -3.0, -1.5, -1.0, -0.5, 0.0, 2.0, 10.0])
    exact = [integrate.quad(lambda z, v=v: (z + v) * norm.pdf(z), -v, -v + 40, epsabs=0, epsrel=1e-10)[0] for v in u]
    np.testing.assert_allclose(bo.log_h(u), np.log(exact), rtol=1e-6)
    far = bo.log_h(np.array([-1e3, -1e5, -1e7]))
    np.testing.assert_allclose(far, [-500014.734, -5e9 - 0.919 - 2 * np.log(1e5), -5e13], rtol=1e-6)
    steep = bo.log_h(np.linspace(-2e5, 5, 4001))
    assert (np.diff(steep) > 0).all()


def test_noisy_expected_improvement_prefers_the_promising_and_never_what_is_known_for_sure():
    seen = np.array([[0.0, 0, 0, 0], [1, 1, 1, 1]])
    candidates = np.array([[0.0, 0, 0, 0], [0, 0, 0, 1], [1, 1, 1, 0]])
    value = bo.log_noisy_ei(candidates, seen, np.array([-1.0, 1.0]), 1.5, 1e-4, np.random.default_rng(0))
    assert value[2] > value[1] > value[0]


@pytest.mark.parametrize("method, at", [(Method.END_INCREMENTAL, (4, 8)), (Method.MIDDLE_INCREMENTAL, (2, 4))])
def test_incremental_searches_keep_what_they_found_and_grow_in_the_right_place(method, at):
    study = Study(method, Region(("A", "M"), 12), seed=0, options=Options(per_round=4, trials=48))
    visited = go_on(study, 48)
    assert [len(p) for p in visited] == [4] * 16 + [8] * 16 + [12] * 16
    for place, (begin, end) in zip(at, ((0, 16), (16, 32)), strict=True):
        found = max(study.trials[begin:end], key=lambda t: t.quality).pattern.layers
        for grown in visited[end : end + 16]:
            assert grown.layers[:place] + grown.layers[place + 4 :] == found
    with pytest.raises(Exhausted, match="all 3 rounds are complete"):
        study.ask()


@pytest.mark.parametrize(
    "n, options, plan",
    [
        (2, Options(), [(4, 16)] * 4),
        (3, Options(), [(4, 25)] * 4),
        (2, Options(per_round=3, trials=12), [(3, 2)] * 5 + [(1, 2)]),
    ],
)
def test_a_round_has_its_share_of_the_trials_but_no_more_than_there_are_choices(n, options, plan):
    assert incremental.rounds(Region(("A", "M", "Mb")[:n], 16), options) == plan


@pytest.mark.parametrize(
    "options, message", [(Options(per_round=17), "choose 1 to 16"), (Options(trials=3), "4 rounds")]
)
def test_rounds_that_cannot_be_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        incremental.check(TWO, options)


def test_moves_change_what_they_say():
    rng = np.random.default_rng(0)
    for _ in range(200):
        layers = TWO.sample(rng).layers
        old = Pattern(layers)
        assert hamming(Pattern(moves.substitute(layers, TWO.primitives, rng)), old) == 1
        assert sorted(moves.swap(layers, rng)) == sorted(layers)
        assert moves.mutate(layers, TWO.primitives, rng) != layers
        crossed, other = moves.cross(layers, TWO.sample(rng).layers, rng), len(layers)
        assert len(crossed) == other
        assert crossed[0] == layers[0]
        assert len(moves.copy_block(layers, rng)) == other


def test_the_tournament_prefers_the_best_of_the_fifty_best():
    history = sorted(observed(TWO, 90), key=lambda t: t.quality)
    rng = np.random.default_rng(0)
    parents = [methods.propose(Method.MUTATE, TWO, history, rng=rng).parent for _ in range(300)]
    rank = {t.pattern: i for i, t in enumerate(reversed(history))}
    ranks = [rank[parent] for parent in parents]
    assert max(ranks) < 50
    assert 2 < statistics.fmean(ranks) < 7  # the least of ten uniform draws from 0..49 has the mean 4.0


def proposed(folder):
    return [node.key for node in control_lab.tree(folder).nodes if node.key]


@pytest.mark.parametrize("backend", ["control.mutate", "control.bo", "control.random"])
def test_a_search_proposes_as_a_study_does_and_never_repeats_even_what_failed(lab, tmp_path, backend):
    study = Study(Method(backend.removeprefix("control.")), TWO, seed=0)
    lab.broken = {proposal.pattern for proposal in study.ask(3)[1:]}
    done = control_lab.search(tmp_path, backend, 20, seed=0)
    study = Study(study.method, TWO, seed=0)
    expected = go_on(study, 20, lambda p: None if p in lab.broken else control_lab.boundaries(p))
    assert [parse(text) for text in _patterns(done.folder)] == expected


def _patterns(folder):
    files = [node.files["submission.csv"] for node in control_lab.tree(folder).nodes if node.files]
    return [text.splitlines()[1] for text in files]


@pytest.mark.parametrize("n", [1, 3])
def test_an_interrupted_search_goes_on_alike_with_any_number_of_workers(lab, tmp_path, n):
    options = {"workers__n": n, "llm__layers": 6}
    whole = control_lab.search(tmp_path, "control.bo", 14, workdir="whole", **options)
    control_lab.search(tmp_path, "control.bo", 12, workdir="parts", **options)
    parts = control_lab.search(tmp_path, "control.bo", 14, workdir="parts", **options)
    assert control_lab.tree(whole.folder).fingerprint() == control_lab.tree(parts.folder).fingerprint()
    assert len(set(_patterns(whole.folder))) == 14


def test_no_pattern_is_proposed_twice_where_whatever_is_done_first_goes_first(lab, tmp_path):
    def the_first_waits_for_five_others(pattern):
        deadline = time.monotonic() + 60
        while pattern == parse("4A") and len(lab.trained) < 6 and time.monotonic() < deadline:
            time.sleep(0.005)

    lab.before = the_first_waits_for_five_others
    options = {"workers__n": 3, "workers__slots_per_device": 3, "workers__order": "asap"}
    done = control_lab.search(tmp_path, "control.exhaustive", 16, llm__layers=4, **options)
    assert len(set(_patterns(done.folder))) == 16
    assert next(r["node"] for r in events.read(done.folder) if r["kind"] == "node") != 0


def test_exhaustive_evaluates_all_64_patterns_of_six_layers_and_ends_by_itself(lab, tmp_path):
    done = control_lab.search(tmp_path, "control.exhaustive", 500, llm__layers=6, eval__width_scaling=True)
    assert (done.stopped.reason, done.exit) == ("policy", run.Exit.DONE)
    assert sorted(p.layers for p, _ in lab.trained) == sorted(itertools.product(("A", "M"), repeat=6))
    assert {width for _, width in lab.trained} == {"1"}
    tree = control_lab.tree(done.folder)
    assert tree.submitted == tree.best.id


def test_an_incremental_search_grows_to_the_tasks_length(lab, tmp_path):
    done = control_lab.search(tmp_path, "control.middle_incremental", 500, llm__per_round=8, llm__trials=24)
    assert done.stopped.reason == "policy"
    assert [len(p) for p, _ in lab.trained] == [8] * 12 + [16] * 12
    assert len({p for p, _ in lab.trained}) == 24


@pytest.mark.parametrize("steps, layers", [(20, 16), (10, 8)])
def test_a_growing_search_hands_in_the_best_of_its_longest_patterns(lab, tmp_path, steps, layers):
    lab.score = lambda pattern: -len(pattern) + 0.1 * pattern.counts()["A"]  # short patterns score best
    done = control_lab.search(tmp_path, "control.end_incremental", steps, llm__per_round=8, llm__trials=24)
    tree = control_lab.tree(done.folder)
    submitted = parse(tree.nodes[tree.submitted].files["submission.csv"].splitlines()[1])
    assert len(submitted) == layers
    rivals = [parse(text) for text in _patterns(done.folder)]
    assert submitted.counts()["A"] == max(p.counts()["A"] for p in rivals if len(p) == layers)
    assert len(parse(tree.best.files["submission.csv"].splitlines()[1])) == 8


@pytest.mark.parametrize(
    "backend, options, message",
    [
        ("control.exhaustive", {}, "65,536 patterns are too many"),
        ("control.bo", {"llm__layers": 17}, "1 to 16 layers"),
        ("control.evolution", {"llm__layers": 6}, "keeps to the task's length"),
        ("control.end_incremental", {"llm__per_round": 20}, "choose 1 to 16"),
        (
            "control.random",
            {"llm__layers": 6, "llm__improve__backend": "control.evolution"},
            "for every operator|length",
        ),
    ],
)
def test_controls_that_cannot_work_are_refused_before_a_run_begins(lab, tmp_path, backend, options, message):
    with pytest.raises(ValueError, match=message):
        control_lab.search(tmp_path, backend, 5, **options)
    assert not list(tmp_path.rglob("events.jsonl"))


def test_the_evaluator_admits_shorter_patterns_only_where_the_search_says_so(tmp_path, monkeypatch):
    space = compose.PatternSpace(("A", "M"), "16A")
    (tmp_path / "submission.csv").write_text("architecture\n6A\n")
    with pytest.raises(SubmissionError, match="16 layers required, got 6"):
        space.read(tmp_path / "submission.csv")
    assert compose.scaled(fidelity.get("paper"), parse("6A")).d == 128
    monkeypatch.setenv(compose.MIN_LAYERS, "6")
    monkeypatch.setenv(compose.WIDTH_SCALING, "1")
    assert space.read(tmp_path / "submission.csv") == parse("6A")
    assert [compose.scaled(fidelity.get("smoke"), parse(p)).d for p in ("6A", "16A")] == [48, 128]
    (tmp_path / "submission.csv").write_text("architecture\n5A\n")
    with pytest.raises(SubmissionError, match="16 layers required, got 5"):
        space.read(tmp_path / "submission.csv")


def test_trials_without_quality_are_never_the_best():
    assert trials.best([Trial(parse("16A"), None), Trial(parse("16M"), 0.0)], 5) == [Trial(parse("16M"), 0.0)]
