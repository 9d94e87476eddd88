"""What can be scored without looking at the input: the yardstick that makes scores of different proxies comparable.

A *guess* is one constant answer for all targets, the best there is: the most frequent target where predictions are
counted, the targets' own frequencies where their probability is. A *relative error* is what a model gets wrong, in
units of what the guess gets wrong: 0 is perfect, 1 no better than not looking. For probabilities, 1 minus it is the
share of the targets' entropy that the model explains (McFadden's R squared).
"""

import math

import numpy as np

from aira_jax.proxies.mad import IGNORED


def errors(y: np.ndarray) -> float:
    """The share of scored targets that differ from the most frequent one. Raises ValueError where that is none."""
    return 1.0 - float(_frequencies(y).max())


def entropy(y: np.ndarray) -> float:
    """The cross-entropy of scored targets under their own frequencies, nats. Raises ValueError where it is 0."""
    p = _frequencies(y)
    return -math.fsum((p * np.log(p)).tolist())


def _frequencies(y: np.ndarray) -> np.ndarray:
    _, counts = np.unique(y[y != IGNORED], return_counts=True)
    if len(counts) < 2:
        raise ValueError(f"{len(counts)} different targets are scored, at least 2 are needed to compare with a guess")
    return counts / counts.sum()
