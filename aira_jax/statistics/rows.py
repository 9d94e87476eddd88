"""One row per run: whether it was valid, its scores, what it cost, how it went; `aira_jax.runs.studies` reads them."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aira_jax.statistics.tasks import TaskFacts


@dataclass(frozen=True)
class Skipped:
    """A run that could not be read, or was left out, and why."""

    path: str
    reason: str


class State(enum.StrEnum):
    """UNFINISHED: no stop on record, or one from which it can go on.

    UNSCORED: it submitted, and its submission was never scored on test.
    """

    FINISHED = "finished"
    UNFINISHED = "unfinished"
    UNSCORED = "unscored"


@dataclass(frozen=True, kw_only=True)
class Step:
    """A committed node. `step` counts from 1; `best` is the best fitness so far; `test` its test score, if any.

    `settings` are the hyper-parameters in use {name: value}, None where the task fixes them or they cannot be read;
    `pattern` is what a search over patterns proposed, `title` the first line of model.py's docstring; "" elsewhere.
    """

    node: int
    step: int
    operator: str
    status: str
    fitness: float | None
    best: float | None
    is_new_best: bool
    test: float | None
    wall_s: float
    tokens: int
    usd: float | None
    failure_class: str | None
    plan: str
    settings: Mapping[str, float] | None
    pattern: str
    title: str


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """A run. `test` is the submission's test score with evaluator seed 0, None for an invalid run.

    `repeats` are its scores with further seeds. `best_test` is the best over the nodes that were tested (`tested` of
    `good`), `best_validation` the best fitness. `usd` None: unpriced. `choices` is what the run was started with but
    for its seed. `data` is what its rows were made of, `surrogate` the name of what stood in for it; "" where the log
    does not say.
    """

    path: str
    task: TaskFacts
    task_sha: str
    agent: str
    scaffold: str
    proposer: str
    seed: int
    profile: str
    choices: Mapping[str, Any]
    data: str
    surrogate: str
    state: State
    submitted: int | None
    validation: float | None
    test: float | None
    repeats: tuple[float, ...]
    best_test: float | None
    best_validation: float | None
    good: int
    tested: int
    failures: Mapping[str, int]
    usd: float | None
    tokens: int
    wall_s: float
    steps: tuple[Step, ...]
    warnings: tuple[str, ...]

    @property
    def valid(self) -> bool:
        """It has a submitted node with a finite test score."""
        return self.test is not None

    @property
    def control(self) -> bool:
        """Proposed without a language model; a log that names no proposer is judged by the name of its agent."""
        return (self.proposer or self.agent.split("-", 1)[-1]).startswith("control.")

    @property
    def nodes(self) -> int:
        return len(self.steps)

    @property
    def generalisation_gap(self) -> float | None:
        """By how much the best tested node beats the submission on test, at least 0.

        None for an invalid run, and where no other node was tested: it would be 0 whatever the others are worth.
        """
        return self.task.sign * (self.best_test - self.test) if self.valid and self.tested > 1 else None

    @property
    def val_test_gap(self) -> float | None:
        """Validation minus test of the submission."""
        return self.validation - self.test if self.valid and self.validation is not None else None
