"""Test scores of a run, folded apart from the tree so that no policy, operator or memory can reach them."""

import dataclasses
from collections.abc import Iterable, Mapping

from aira_jax.search.log.events import Kind, Record
from aira_jax.search.log.tree import TEST_PHASES


@dataclasses.dataclass(frozen=True)
class TestScore:
    """The test outcome of one node: `value` for evaluator seed 0, `repeats` for further seeds {seed: value}."""

    __test__ = False  # not a pytest class

    node: int
    value: float | None = None
    status: str = "fail"
    failure_class: str | None = None
    repeats: Mapping[int, float | None] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class TestScores:
    """Test scores by node id, and the device-seconds of the test account."""

    __test__ = False

    scores: Mapping[int, TestScore] = dataclasses.field(default_factory=dict)
    device_s: float = 0.0

    @classmethod
    def fold(cls, records: Iterable[Record]) -> "TestScores":
        scores: dict[int, TestScore] = {}
        device_s = 0.0
        for record in records:
            if record["kind"] == Kind.EXEC_END and record["phase"] in TEST_PHASES:
                device_s += record.get("device_s", 0.0)
            elif record["kind"] == Kind.TEST_RESULT:
                scores[record["node"]] = _with(scores.get(record["node"], TestScore(record["node"])), record)
        return cls(scores, device_s)

    def value(self, node: int | None) -> float | None:
        """The test value of a node, None when it has none."""
        return self.scores[node].value if node in self.scores else None


def _with(score: TestScore, record: Record) -> TestScore:
    seed = record.get("seed", 0)
    if seed:
        return dataclasses.replace(score, repeats={**score.repeats, seed: record["value"]})
    return dataclasses.replace(
        score, value=record["value"], status=record["status"], failure_class=record.get("failure_class")
    )
