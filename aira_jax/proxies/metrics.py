"""The two accuracies of a MAD task. N rows, T positions."""

import numpy as np

from aira_jax.proxies.fidelity import SCORED_BATCH
from aira_jax.proxies.mad import IGNORED


def micro(predictions_NT: np.ndarray, targets_NT: np.ndarray) -> float:
    """Correct predictions / scored targets, over all rows at once."""
    scored = targets_NT != IGNORED
    if not scored.any():
        raise ValueError("no scored target: every target is ignored")
    return float((predictions_NT == targets_NT)[scored].mean())


def macro(predictions_NT: np.ndarray, targets_NT: np.ndarray, batch: int = SCORED_BATCH) -> float:
    """mad-lab's accuracy: batches of `batch` rows, each the mean recall over the classes that occur in it.

    A class occurs if it is a scored target or a prediction for one; predicted but never a target, its recall is 0.
    Batches count by their rows.
    """
    total = 0.0
    for start in range(0, len(targets_NT), batch):
        targets, predictions = targets_NT[start : start + batch], predictions_NT[start : start + batch]
        scored = targets != IGNORED
        total += _mean_recall(predictions[scored], targets[scored]) * len(targets)
    return total / len(targets_NT)


def _mean_recall(predictions: np.ndarray, targets: np.ndarray) -> float:
    if not targets.size:
        raise ValueError("a batch without a scored target has no macro accuracy")
    classes = int(max(predictions.max(), targets.max())) + 1
    support = np.bincount(targets, minlength=classes)
    predicted = np.bincount(predictions, minlength=classes)
    correct = np.bincount(targets[predictions == targets], minlength=classes)
    present = (support > 0) | (predicted > 0)
    return float((correct[present] / np.maximum(support[present], 1)).mean())
