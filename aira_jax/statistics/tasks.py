"""What statistics know of a task: its name in tables, the direction of its metric, its scale of normalised scores."""

import dataclasses
import enum

from aira_jax.statistics.scores import Yardstick


class Setup(enum.StrEnum):
    """Whether model.py may choose hyper-parameters."""

    FIXED = "non-configurable"
    CONFIGURABLE = "configurable"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskFacts:
    """A task in tables. `label` is short; `dataset` and `setup` group the tasks of one data set.

    `lra` is the name of the task in the package lra, None for tasks of another kind. `yardstick` is None without a best
    known score; `literature` is the best published score of a model made by people, where it is another.
    """

    name: str
    label: str
    dataset: str
    setup: Setup
    lra: str | None
    metric: str
    lower_is_better: bool
    validation_is_test: bool
    yardstick: Yardstick | None
    literature: float | None

    @property
    def sign(self) -> int:
        return -1 if self.lower_is_better else 1

    def better(self, values) -> float:
        """The best of some values."""
        return min(values) if self.lower_is_better else max(values)

    def worse(self, values) -> float:
        return max(values) if self.lower_is_better else min(values)
