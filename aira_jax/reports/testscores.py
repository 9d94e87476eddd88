"""Test scores: an object of its own, built only here, so that no policy, operator or prompt can reach one by type."""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class TestScore:
    """One scoring of a node on the test split; `value` is None unless it ended ok with a finite number."""

    __test__ = False  # not a pytest class

    node: int
    value: float | None
    seed: int
    status: str
    failure_class: str | None
    wall_s: float
    device_s: float


@dataclasses.dataclass(frozen=True)
class TestScores:
    """Every test score of a run, in log order."""

    __test__ = False

    scores: tuple[TestScore, ...]

    @classmethod
    def fold(cls, records: Iterable[Mapping[str, Any]]) -> "TestScores":
        return cls(tuple(_score(record) for record in records if record["kind"] == "test_result"))

    def of(self, node: int) -> tuple[TestScore, ...]:
        return tuple(score for score in self.scores if score.node == node)

    def value(self, node: int) -> float | None:
        """The first finite value of a node: its score with the evaluation seed that all nodes share."""
        return next((score.value for score in self.of(node) if score.value is not None), None)


def _score(record: Mapping[str, Any]) -> TestScore:
    value = record["value"]
    valid = record["status"] == "ok" and value is not None and math.isfinite(value)
    return TestScore(
        node=record["node"],
        value=float(value) if valid else None,
        seed=record.get("seed", 0),
        status=record["status"],
        failure_class=record["failure_class"],
        wall_s=record["wall_s"],
        device_s=record["device_s"],
    )
