"""The search tree: a pure fold over the event log."""

import dataclasses
import enum
from collections.abc import Mapping

from aira_jax.llm.base import Operator, Usage


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


@dataclasses.dataclass(frozen=True)
class Node:
    """One step of a search. A pending node (action logged, nothing committed) has status None."""

    id: int
    operator: Operator
    parents: tuple[int, ...]
    children: tuple[int, ...]
    meta: Mapping[str, object]
    debug_depth: int
    plan: str = ""
    files: Mapping[str, str] = dataclasses.field(default_factory=dict)
    sha: str | None = None
    status: NodeStatus | None = None
    fitness: float | None = None
    failure_class: str | None = None
    message: str = ""
    head: str = ""
    tail: str = ""
    summary: str = ""
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
    def is_buggy(self) -> bool:
        return self.status is NodeStatus.BUGGY
