"""What an evaluation of a Compose task reports about a trained pattern, whichever proxy trained it."""

from typing import TYPE_CHECKING

from aira_jax.core.failures import Failure
from aira_jax.core.files import finite
from aira_jax.tasks.evaluation import CandidateError, Score

if TYPE_CHECKING:
    from aira_jax.proxies.result import ProxyResult


def score(result: "ProxyResult", value: float) -> Score:
    """`value` with all that is known about its training. Raises CandidateError for a training that went wrong."""
    from aira_jax.proxies.fidelity import Signal
    from aira_jax.proxies.result import TaskStatus

    details = {"canonical": result.pattern, "proxy": result.to_json()}
    failures = {TaskStatus.DIVERGED: Failure.NAN, TaskStatus.OOM: Failure.OOM}
    if result.status in failures:
        bad = [f"{name} ({task.status})" for name, task in result.tasks.items() if task.status in failures]
        raise CandidateError(failures[result.status], f"training failed on {', '.join(bad)}", details)
    return Score(
        value=float(value),
        train_s=result.train_s,
        device_s=result.train_s + result.compile_s,
        n_params=max(result.parameters.values(), default=None),
        steps=result.trained_steps,
        curve=_mean_curve(result.curve),
        extra=details | {"signals": {kind: finite(result.signal(kind)) for kind in Signal}},
    )


def _mean_curve(curves) -> list[list[float]]:
    """[[epoch, training loss]] averaged over the tasks that reached the epoch, epochs from 1."""
    longest = max((len(curve) for curve in curves.values()), default=0)
    reached = [[curve[epoch] for curve in curves.values() if epoch < len(curve)] for epoch in range(longest)]
    return [[epoch, sum(values) / len(values)] for epoch, values in enumerate(reached, 1)]
