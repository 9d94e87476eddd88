"""Fidelities: how large a proxy is, and how long a pattern trains on it. Importable without jax.

Five presets, ordered by cost. Scores of different presets are never comparable with each other.

smoke   seconds; proves that the machinery runs, its scores mean nothing
demo    two of cpu-s's tasks, eight of its ten epochs; made for `make demo` (rank correlation: see FIDELITIES.md)
cpu-s   all six tasks, shortened; the smallest preset whose ranking is meant seriously
cpu-m   all six tasks at half length, 25 epochs
paper   all six tasks as published for MAD (Poli et al. 2024), 200 epochs
"""

import dataclasses
import enum
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from aira_jax.core import choices
from aira_jax.primitives.activation import Activation

TASKS = (
    "in-context-recall",
    "fuzzy-in-context-recall",
    "noisy-in-context-recall",
    "memorization",
    "compression",
    "selective-copying",
)
SCORED_BATCH = 128  # macro accuracy is averaged over test batches of this many rows


class Select(enum.StrEnum):
    """Which epoch is scored. BEST_TEST exists to compare with mad-lab only: it selects on the test set."""

    LAST = "last"
    BEST_TEST = "best_test_madlab"


class Signal(enum.StrEnum):
    """What of a training tells patterns apart; the task's metric stays the score whatever the signal is.

    METRIC: the accuracy, higher is better. LOSS: the cross-entropy of the held-out targets in nats, lower is better.
    CURVE: the area under the training curve, that is the mean training loss of all epochs in nats, lower is better.
    """

    METRIC = "metric"
    LOSS = "loss"
    CURVE = "curve"


class DType(enum.StrEnum):
    """Arithmetic of the matrix products; parameters, softmax, norms and the loss are always float32."""

    FP32 = "fp32"
    BF16_MATMUL = "bf16-matmul"


@dataclasses.dataclass(frozen=True)
class Preset:
    """One fidelity of the MAD proxy.

    `seq_len` maps a task to its length in tokens (before the shift of recall tasks), `copied` is the number of tokens
    to copy in selective copying, `train` and `test` count rows. AdamW with a constant learning rate. `eval_every` 0
    scores once, after the last epoch; `stop_at` ends a task's training when its accuracy reaches the value. `signal` is
    what tells patterns apart best at this price (FIDELITIES.md); no score depends on it.
    """

    name: str
    d: int
    seq_len: Mapping[str, int]
    copied: int
    train: int
    test: int
    epochs: int
    batch: int
    tasks: tuple[str, ...] = TASKS
    lr: float = 5e-4
    weight_decay: float = 0.0
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8
    activation: Activation = Activation.RELU
    dtype: DType = DType.FP32
    eval_every: int = 0
    stop_at: float | None = None
    select: Select = Select.LAST
    signal: Signal = Signal.METRIC
    proxy: ClassVar[str] = "mad"
    warmup: ClassVar[int] = 0
    final_lr: ClassVar[None] = None
    clip: ClassVar[None] = None

    def __post_init__(self):
        object.__setattr__(self, "seq_len", MappingProxyType(dict(self.seq_len)))
        check_tasks(self.tasks)
        check_sizes(self, "d", "train", "test", "epochs", "batch")
        watched = self.stop_at is not None or self.select is Select.BEST_TEST
        if watched and not self.eval_every:
            raise ValueError(f"preset {self.name}: stop_at and select=best_test_madlab need eval_every >= 1")

    def __reduce__(self):
        return _rebuild, ({f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)},)

    def chosen(self, tasks: Iterable[str] | None) -> tuple[str, ...]:
        """`tasks` in their fixed order, or all of the preset's; raises ValueError for an unknown name."""
        return check_tasks(self.tasks if tasks is None else tasks)

    def fields(self, task: str) -> dict[str, Any]:
        """The arguments of `mad.generate` that this preset sets for `task`."""
        check_tasks([task])
        fields = {"seq_len": self.seq_len[task]}
        return fields | {"n_copy": self.copied} if task == "selective-copying" else fields

    def resolved(self, tasks: Iterable[str] | None = None) -> dict[str, Any]:
        """Everything that can change a score, as plain JSON data: this is what the result cache keys on."""
        tasks = self.chosen(tasks)
        plain = {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}
        for unused in ("name", "seq_len", "copied", "signal"):
            del plain[unused]
        return plain | {"tasks": {task: self.fields(task) for task in sorted(tasks)}, "scored_batch": SCORED_BATCH}

    def steps(self) -> int:
        """Optimizer steps per task."""
        return self.epochs * -(-self.train // self.batch)


def check_sizes(preset, *fields: str) -> None:
    """Raises ValueError unless all of these fields are positive and the width holds whole heads."""
    for field in fields:
        if getattr(preset, field) < 1:
            raise ValueError(f"preset {preset.name}: {field} = {getattr(preset, field)}, use at least 1")
    if preset.d % 8:
        mend = f"use {preset.d // 8 * 8 + 8}"
        raise ValueError(f"preset {preset.name}: d = {preset.d} is no multiple of 8 (heads have 8 dims): {mend}")


def scaled(preset, layers: int):
    """`preset` at width 8 per layer: 16 layers have the published width 128, 6 have 48 (arXiv 2510.00379)."""
    return dataclasses.replace(preset, d=8 * layers)


def _plain(value):
    return dict(value) if isinstance(value, Mapping) else value


def _rebuild(fields: dict[str, Any]) -> Preset:
    return Preset(**fields)


def check_tasks(tasks: Iterable[str]) -> tuple[str, ...]:
    """`tasks` in their fixed order, each once; raises ValueError for an unknown name or an empty list."""
    tasks = tuple(tasks)
    for task in tasks:
        choices.among("MAD task", task, TASKS)
    if not tasks:
        raise ValueError(f"no MAD task given: choose from {', '.join(TASKS)}")
    return tuple(task for task in TASKS if task in tasks)


def _lengths(recall: int, fuzzy: int, memorization: int, compression: int, copying: int) -> dict[str, int]:
    return dict(zip(TASKS, (recall, fuzzy, recall, memorization, compression, copying), strict=True))


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        preset.name: preset
        for preset in (
            Preset("smoke", 32, _lengths(32, 48, 16, 16, 32), copied=8, train=64, test=64, epochs=2, batch=32),
            Preset(
                "demo",
                64,
                _lengths(32, 48, 32, 16, 48),
                copied=8,
                train=800,
                test=512,
                epochs=8,
                batch=32,
                tasks=("compression", "selective-copying"),
            ),
            Preset("cpu-s", 64, _lengths(32, 48, 32, 16, 48), copied=8, train=800, test=512, epochs=10, batch=32),
            Preset("cpu-m", 128, _lengths(64, 64, 32, 32, 128), copied=16, train=800, test=1280, epochs=25, batch=128),
            Preset(
                "paper", 128, _lengths(128, 128, 32, 32, 256), copied=16, train=800, test=1280, epochs=200, batch=128
            ),
        )
    }
)


def get(name: str) -> Preset:
    """The preset `name`; raises ValueError with the nearest match."""
    return PRESETS[choices.among("preset", name, PRESETS)]
