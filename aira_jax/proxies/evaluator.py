"""Scores a pattern on a proxy: train it from scratch, measure it on held-out rows, never twice.

    result = evaluate(patterns.parse("8(A-M)"), preset="cpu-s")
    result.score                                # mean micro accuracy over the tasks
    result.tasks["memorization"].macro

The types of this module need no jax; jax is imported when something is really trained.
"""

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any


class Split(enum.StrEnum):
    """TEST: all train rows, scored on the test rows. VALIDATION: 70 % of the train rows, scored on the other 30 %."""

    TEST = "test"
    VALIDATION = "validation"


class TaskStatus(enum.StrEnum):
    OK = "ok"
    DIVERGED = "diverged"
    OOM = "oom"


@dataclasses.dataclass(frozen=True)
class TaskScore:
    """One task. `micro` and `macro` are accuracies in [0, 1], `loss` is the mean cross-entropy of scored targets in nats.

    A task that did not end well has the worst values: accuracy 0, loss infinite.
    """

    micro: float
    macro: float
    loss: float
    status: TaskStatus = TaskStatus.OK


@dataclasses.dataclass(frozen=True)
class ProxyResult:
    """What `evaluate` found out about a pattern.

    `score`, `macro` and `loss` are means over the tasks; `status` is the worst of the tasks'. `steps` counts the
    optimiser steps of this call (0 for a cache hit), `trained_steps` those behind the scores. `train_s` and `compile_s`
    are seconds of this call. `curve` holds the mean training loss per epoch and task.
    """

    pattern: str
    profile: str
    seed: int
    eval_seed: int
    split: Split
    tasks: Mapping[str, TaskScore]
    score: float
    macro: float
    loss: float
    train_s: float
    compile_s: float
    steps: int
    trained_steps: int
    cached: bool
    status: TaskStatus
    curve: Mapping[str, list[float]]
    key: str
    dtype: str
    engine: str
    device: str
    selected_on_test: bool = False
    stopped_early: Mapping[str, int] = dataclasses.field(default_factory=dict)
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data; an infinite loss is written as null."""
        raise NotImplementedError


def evaluate(
    pattern,
    *,
    preset,
    datasets=None,
    tasks=None,
    data_seed: int = 12345,
    eval_seed: int = 0,
    split: Split | str = Split.TEST,
    cache_dir=None,
    engine: str = "auto",
) -> ProxyResult:
    """Trains and scores `pattern`. `datasets` maps task -> mad.Dataset; None generates them from `data_seed`."""
    raise NotImplementedError
