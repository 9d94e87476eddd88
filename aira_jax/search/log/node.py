"""The nodes of a search tree, and the actions that make them."""

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any

from aira_jax.core.operators import Operator
from aira_jax.llm.base import Usage
from aira_jax.search.engine.budget import Budget


class NodeStatus(enum.StrEnum):
    GOOD = "good"
    BUGGY = "buggy"
    FAILED = "failed"


@dataclasses.dataclass(frozen=True)
class Action:
    """A policy's decision. `parents` are node ids: none for a draft, one for improve and debug, two for crossover."""

    operator: Operator
    parents: tuple[int, ...] = ()
    meta: Mapping[str, object] = dataclasses.field(default_factory=dict)

    @classmethod
    def draft(cls, **meta) -> "Action":
        return cls(Operator.DRAFT, (), meta)

    @classmethod
    def improve(cls, parent: "Node", **meta) -> "Action":
        return cls(Operator.IMPROVE, (parent.id,), meta)

    @classmethod
    def debug(cls, parent: "Node", **meta) -> "Action":
        return cls(Operator.DEBUG, (parent.id,), meta)

    @classmethod
    def crossover(cls, first: "Node", second: "Node", **meta) -> "Action":
        return cls(Operator.CROSSOVER, (first.id, second.id), meta)

    @classmethod
    def wait(cls) -> "Action":
        """Nothing useful can be done until a pending node commits."""
        return cls(Operator.WAIT)

    @classmethod
    def stop(cls) -> "Action":
        """The policy has done its work."""
        return cls(Operator.STOP)


@dataclasses.dataclass(frozen=True)
class Node:
    """One step of a search. A pending node (action logged, nothing committed) has status None.

    `reserved` is the most that its first call could cost: what the budget keeps back for it while it is pending.
    `saw` are the nodes that were committed in the view in which it was chosen.
    `exported` are the files that the candidate's own run wrote (only when it, or its duplicate, was run for them).
    `key` is the task's canonical form of the candidate (else its sha): equal keys are the same candidate.
    `fitness` is the task's metric on validation, `signal` what steers the search where that is something else.
    `result` is the evaluator's result object of the validation score. `usd` is None when a call had no known price.
    """

    id: int
    operator: Operator
    parents: tuple[int, ...]
    children: tuple[int, ...]
    meta: Mapping[str, object]
    debug_depth: int
    reserved: Budget = Budget(0, 0, 0, 0, 0.0)
    saw: tuple[int, ...] = ()
    plan: str = ""
    files: Mapping[str, str] = dataclasses.field(default_factory=dict)
    exported: Mapping[str, str] = dataclasses.field(default_factory=dict)
    sha: str | None = None
    key: str | None = None
    edit_mode: str | None = None
    duplicate_of: int | None = None
    status: NodeStatus | None = None
    fitness: float | None = None
    signal: float | None = None
    fitness_source: str | None = None
    failure_class: str | None = None
    message: str = ""
    head: str = ""
    tail: str = ""
    summary: str = ""
    result: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    usage: Usage = Usage()
    usd: float | None = 0.0
    wall_s: float = 0.0
    device_s: float = 0.0

    @property
    def pending(self) -> bool:
        return self.status is None

    @property
    def is_good(self) -> bool:
        return self.status is NodeStatus.GOOD

    @property
    def steering(self) -> float | None:
        """What a search compares nodes by: the signal, where the run has one, else the fitness."""
        return self.fitness if self.signal is None else self.signal

    @property
    def is_buggy(self) -> bool:
        return self.status is NodeStatus.BUGGY
