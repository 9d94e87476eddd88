"""What statistics know of a task: its name in tables, the direction of its metric, its scale of normalised scores."""

import dataclasses
import enum
import re
from collections.abc import Callable, Mapping
from typing import Any

from aira_jax.statistics.scores import Yardstick
from aira_jax.tasks import loader
from aira_jax.tasks.loader import Task
from lra import designs

_PREFIX = re.compile(r"^(NeuralArchitectureSearch|LongContextReasoning|AutoregressiveLanguageModelling)")
_LRA = re.compile(r"^LongContextReasoningLRA(?P<dataset>[A-Z][A-Za-z]*?)(?P<configurable>Configurable)?Accuracy$")


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


def facts(start: Mapping[str, Any], load: Callable[[str], Task] = loader.load) -> tuple[TaskFacts, str]:
    """The task of a run_start record, and a warning ("" for none).

    A task without a folder here has what its log says of it, and so no normalised score. Raises ValueError where the
    log does not say either whether lower is better.
    """
    name = start["task"]
    try:
        task = load(name)
    except loader.UnknownTask as error:
        if not isinstance(start.get("lower_is_better"), bool):
            raise ValueError(f"its log does not say whether lower is better, and {error}") from None
        told = {key: start.get(key) for key in ("metric", "lower_is_better")}
        told |= {"metric": told["metric"] or "score", "validation_is_test": bool(start.get("validation_is_test"))}
        return _facts(name, None, **told), f"task {name} has no folder here: raw scores only, no normalised ones"
    known = {key: getattr(task, key) for key in ("metric", "lower_is_better", "validation_is_test")}
    return _facts(name, Yardstick.of(task), **known), ""


def _facts(name: str, yardstick: Yardstick | None, **known: Any) -> TaskFacts:
    dataset, setup, lra = _PREFIX.sub("", name) or name, Setup.FIXED, None
    if match := _LRA.match(name):
        lra = match["dataset"].lower()
        setup = Setup.CONFIGURABLE if match["configurable"] else Setup.FIXED
        dataset = f"LRA {match['dataset']}"
    return TaskFacts(
        name=name,
        label=f"{dataset}, configurable" if setup is Setup.CONFIGURABLE else dataset,
        dataset=dataset,
        setup=setup,
        lra=lra,
        **known,
        yardstick=yardstick,
        literature=_literature(lra),
    )


def _literature(lra: str | None) -> float | None:
    scores = [row.accuracy for row in designs.PUBLISHED if row.task == lra and row.found_by == "people"]
    return max(scores, default=None)
