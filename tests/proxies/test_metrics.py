"""Both accuracies of MAD on hand-computed cases."""

import numpy as np
import pytest

from aira_jax.proxies import metrics


def test_micro_and_macro_of_a_constant_class():
    targets, predictions = np.asarray([[0, 0, 0, 0]]), np.asarray([[0, 0, 0, 1]])
    assert metrics.micro(predictions, targets) == 0.75
    assert metrics.macro(predictions, targets) == 0.375  # class 0: 3/4; class 1: predicted, never a target: 0


def test_macro_weighs_batches_by_their_rows():
    targets = np.zeros((160, 1), int)
    predictions = np.concatenate([np.zeros((128, 1), int), np.ones((32, 1), int)])
    assert metrics.macro(predictions, targets) == pytest.approx(0.8 * 1 + 0.2 * 0)


def test_ignored_targets_count_nowhere():
    targets, predictions = np.asarray([[5, -100, 2], [-100, -100, 2]]), np.asarray([[5, 7, 3], [1, 2, 2]])
    assert metrics.micro(predictions, targets) == pytest.approx(2 / 3)
    assert metrics.macro(predictions, targets) == pytest.approx((1 + 0.5 + 0) / 3)


def test_nothing_to_score_is_an_error():
    with pytest.raises(ValueError, match="every target is ignored"):
        metrics.micro(np.zeros((1, 2), int), np.full((1, 2), -100))
