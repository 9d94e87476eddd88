"""What statistics know of a task, from its folder or from the log of a run."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from aira_jax.statistics.scores import Yardstick, epsilon
from aira_jax.statistics.tasks import Setup, TaskFacts
from aira_jax.tasks import loader
from aira_jax.tasks.task import Task
from lra import designs

_PREFIX = re.compile(r"^(NeuralArchitectureSearch|LongContextReasoning|AutoregressiveLanguageModelling)")
_LRA = re.compile(r"^LongContextReasoningLRA(?P<dataset>[A-Z][A-Za-z]*?)(?P<configurable>Configurable)?Accuracy$")


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
    return _facts(name, yardstick(task), **known), ""


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


def yardstick(task: Task) -> Yardstick | None:
    """The scale of a task's metadata; None for a task whose optimum, best known or worst score is not there."""
    if task.optimum is None or task.sota is None or task.worst is None:
        return None
    return Yardstick(task.optimum, task.sota, task.worst, task.ns_epsilon or epsilon(task.optimum, task.sota))
