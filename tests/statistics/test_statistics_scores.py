"""The normalised score: published scales give the expected figures, and it is monotone, bounded below and never NaN."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aira_jax.runs import tasks
from aira_jax.statistics import scores
from aira_jax.statistics.scores import Yardstick
from aira_jax.tasks import loader

LISTOPS = Yardstick(1.0, 0.6379, 0.10, 1e-3)
TEXT = Yardstick(1.0, 0.9053, 0.50, 1e-3)
RETRIEVAL = Yardstick(1.0, 0.8176, 0.50, 1e-3)
LOSS = Yardstick(0.0, 0.2, 2.0, scores.epsilon(0.0, 0.2))
REAL_TASKS = loader.names()  # before the fixture of this folder puts small ones in their place
REAL_FOLDER = loader.FOLDER


@pytest.mark.parametrize(
    "scale, score, expected",
    [
        (LISTOPS, 0.10, 0.0),
        (LISTOPS, 0.3637, 0.380818),
        (LISTOPS, 0.4415, 0.524057),
        (LISTOPS, 0.5050, 0.656621),
        (LISTOPS, 0.6314, 0.980459),
        (LISTOPS, 0.6379, 1.0),
        (LISTOPS, 1.0, 7.471265),
        (LISTOPS, 0.05, 0.0),
        (TEXT, 0.6427, 0.201955),
        (TEXT, 0.8400, 0.684800),
        (TEXT, 0.8792, 0.853703),
        (TEXT, 0.9053, 1.0),
        (RETRIEVAL, 0.5746, 0.160231),
        (RETRIEVAL, 0.7361, 0.633711),
        (RETRIEVAL, 0.7943, 0.880785),
        (RETRIEVAL, 0.9140, 1.745587),
        (LOSS, 1.0, 0.301030),
        (LOSS, 0.1, 1.301030),
        (LOSS, 0.001, 3.301030),
        (LOSS, 0.0, 3.301030),
    ],
)
def test_normalised_scores_on_the_published_scales(scale, score, expected):
    assert scale.normalised(score) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("score", [None, math.nan, math.inf, -math.inf])
def test_a_run_without_a_finite_score_counts_as_zero(score):
    assert LISTOPS.normalised(score) == 0.0


def test_the_smallest_distance_is_a_tenth_of_the_best_known_but_at_most_a_thousandth():
    assert scores.epsilon(1.0, 0.6379) == 1e-3
    assert scores.epsilon(0.0, 0.005) == pytest.approx(5e-4)
    task = dataclasses.replace(loader.load("LongContextReasoningLRAListOpsAccuracy"), ns_epsilon=1e-5)
    assert tasks.yardstick(task).epsilon == 1e-5  # where the task names one


@given(st.floats(0, 1), st.floats(0, 1), st.sampled_from([LISTOPS, TEXT, RETRIEVAL]))
def test_a_higher_accuracy_never_scores_lower(a, b, scale):
    low, high = sorted((a, b))
    assert 0 <= scale.normalised(low) <= scale.normalised(high) < math.inf


@given(st.floats(0, 5), st.floats(0, 5))
def test_a_higher_loss_never_scores_higher(a, b):
    low, high = sorted((a, b))
    assert LOSS.normalised(low) >= LOSS.normalised(high)


@pytest.mark.parametrize("change", [{"worst": 0.6379}, {"worst": 0.7}, {"sota": 0.05}, {"epsilon": 0.0}])
def test_a_scale_without_a_length_is_refused(change):
    with pytest.raises(ValueError, match=r"no nearer|must be positive"):
        LISTOPS.replace(**change)


def test_a_task_without_a_best_known_score_has_no_scale(known_tasks):
    import study_runs

    assert tasks.yardstick(loader.load(study_runs.LISTOPS)) == LISTOPS
    assert tasks.yardstick(loader.load(study_runs.MAD)) is None


@pytest.mark.parametrize("name", [name for name in REAL_TASKS if name.startswith("LongContextReasoningLRA")])
def test_the_scales_of_the_real_tasks(name, monkeypatch):
    monkeypatch.setattr(loader, "FOLDER", REAL_FOLDER)
    data = next(data for data in ("ListOps", "Text", "Retrieval") if f"LRA{data}" in name)
    expected = {"ListOps": LISTOPS, "Text": TEXT, "Retrieval": RETRIEVAL}[data]
    assert tasks.yardstick(loader.load(name)) == expected
