"""What a proxy evaluation found out, and its JSON form. Importable without jax."""

import dataclasses
import enum
import math
from collections.abc import Mapping
from typing import Any

from aira_jax.core.files import finite
from aira_jax.proxies.fidelity import Signal


class Split(enum.StrEnum):
    """TEST: all train rows, scored on the test rows. VALIDATION: 70 % of the train rows, scored on the other 30 %."""

    TEST = "test"
    VALIDATION = "validation"


class TaskStatus(enum.StrEnum):
    """How a task ended, from best to worst."""

    OK = "ok"
    DIVERGED = "diverged"
    OOM = "oom"


@dataclasses.dataclass(frozen=True)
class TaskScore:
    """One task: two accuracies in [0, 1] and the mean cross-entropy of the scored targets in nats.

    A task that did not end well has the worst values: accuracy 0, loss infinite.
    """

    micro: float
    macro: float
    loss: float
    status: TaskStatus = TaskStatus.OK

    @classmethod
    def worst(cls, status: TaskStatus) -> "TaskScore":
        return cls(0.0, 0.0, math.inf, status)


@dataclasses.dataclass(frozen=True)
class ProxyResult:
    """The scores of a pattern and how they came about.

    `score`, `macro` and `loss` are means over the tasks; `status` is the worst of the tasks'. `steps` counts the
    optimizer steps of this call over all tasks (0 for a cache hit), `trained_steps` those behind the scores; `train_s`
    and `compile_s` are seconds of this call. `curve` holds a task's mean training loss per epoch, `epoch` the epoch
    that was scored. `selected_on_test` marks the comparison mode select=best_test_madlab, `stopped_early` names the
    tasks that reached the preset's `stop_at`.

    `parameters` counts those of every task's model (the tasks differ in vocabulary); `kernels` names the implementation
    of every operator under the Mamba-2 layers. `sources` is the digest of the sources that scored; `by_other_sources`
    marks a stored result whose sources are not today's.

    The text proxies have one task, named like the proxy, and rank by `loss` (lower first); `corpus` tells where their
    windows come from and `bytes_per_target` how much text a scored target stands for (None: the corpus does not say).
    """

    pattern: str
    profile: str
    seed: int
    eval_seed: int
    split: Split
    tasks: Mapping[str, TaskScore]
    train_s: float
    compile_s: float
    steps: int
    trained_steps: int
    cached: bool
    curve: Mapping[str, list[float]]
    epoch: Mapping[str, int]
    key: str
    dtype: str
    engine: str
    device: str
    selected_on_test: bool = False
    stopped_early: tuple[str, ...] = ()
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    parameters: Mapping[str, int] = dataclasses.field(default_factory=dict)
    kernels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    sources: str | None = None
    by_other_sources: bool = False
    proxy: str = "mad"
    corpus: Mapping[str, Any] | None = None
    bytes_per_target: float | None = None

    @property
    def score(self) -> float:
        return self._mean("micro")

    @property
    def macro(self) -> float:
        return self._mean("macro")

    @property
    def loss(self) -> float:
        return self._mean("loss")

    def signal(self, kind: Signal) -> float:
        """What `kind` names, over all tasks: the score, or a loss in nats (infinite where a training went wrong)."""
        match kind:
            case Signal.METRIC:
                return self.score
            case Signal.LOSS:
                return self.loss
        if self.status is not TaskStatus.OK:
            return math.inf
        return math.fsum(math.fsum(losses) / len(losses) for losses in self.curve.values()) / len(self.curve)

    @property
    def bits_per_byte(self) -> float | None:
        """The loss per byte of text, comparable between tokenizers; None where that is unknown or meaningless."""
        return None if self.bytes_per_target is None else self.loss / (math.log(2) * self.bytes_per_target)

    @property
    def status(self) -> TaskStatus:
        return max((task.status for task in self.tasks.values()), key=list(TaskStatus).index)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data; a loss that is not finite is null."""
        plain = finite(dataclasses.asdict(self))
        means = {"score": self.score, "macro": self.macro, "loss": finite(self.loss), "status": self.status.value}
        bits = {} if self.bytes_per_target is None else {"bits_per_byte": finite(self.bits_per_byte)}
        return plain | means | bits

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "ProxyResult":
        """The inverse of `to_json`."""
        fields = {f.name: data[f.name] for f in dataclasses.fields(cls) if f.name in data}
        fields["split"], fields["stopped_early"] = Split(data["split"]), tuple(data["stopped_early"])
        fields["curve"] = {name: [_infinite(v) for v in values] for name, values in data["curve"].items()}
        fields["tasks"] = {
            name: TaskScore(t["micro"], t["macro"], _infinite(t["loss"]), TaskStatus(t["status"]))
            for name, t in data["tasks"].items()
        }
        return cls(**fields)

    def _mean(self, field: str) -> float:
        return math.fsum(getattr(task, field) for task in self.tasks.values()) / len(self.tasks)


def _infinite(value: float | None) -> float:
    return math.inf if value is None else value
