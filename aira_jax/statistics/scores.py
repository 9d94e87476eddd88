"""Normalised score: how far from the optimum a score is, on a logarithmic scale from a worst (0) to the best known (1).

Source: arXiv 2605.15871, section 5, and AIRS-Bench, arXiv 2602.06855; distances below epsilon count as epsilon, so the
score is monotone up to the optimum and finite at it.
"""

import dataclasses
import math

LARGEST_EPSILON = 1e-3


@dataclasses.dataclass(frozen=True)
class Yardstick:
    """`optimum` has distance 0; `worst` scores 0, `sota` 1. `epsilon` is the smallest distance that counts.

    Raises ValueError where sota is no better than worst: no scale lies between them.
    """

    optimum: float
    sota: float
    worst: float
    epsilon: float

    def __post_init__(self):
        if not self.epsilon > 0:
            raise ValueError(f"epsilon {self.epsilon:g} must be positive: set aira_jax.ns_epsilon in metadata.yaml")
        if not self.phi(self.sota) > self.phi(self.worst):
            raise ValueError(f"the best known score {self.sota:g} is no nearer to {self.optimum:g} than {self.worst:g}")

    def replace(self, **values: float) -> "Yardstick":
        return dataclasses.replace(self, **values)

    def phi(self, score: float) -> float:
        """-log10 of the distance to the optimum."""
        return -math.log10(max(abs(score - self.optimum), self.epsilon))

    def normalised(self, score: float | None) -> float:
        """0 for None, NaN and infinities (invalid runs) and for anything below `worst`; no upper bound."""
        if score is None or not math.isfinite(score):
            return 0.0
        low = self.phi(self.worst)
        return max(0.0, (self.phi(score) - low) / (self.phi(self.sota) - low))


def epsilon(optimum: float, sota: float) -> float:
    """The smallest distance where the task names none: a tenth of the best known score's, at most 0.001."""
    return min(LARGEST_EPSILON, abs(sota - optimum) / 10)
