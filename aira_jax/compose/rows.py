"""Rows: one step of one run whose candidate holds a pattern, and the table of them in a file.

    write_table(collection.rows, "candidates.jsonl")

`aira_jax.runs.collect` makes them from event logs.
"""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aira_jax.compose import dims
from aira_jax.core.files import write_atomically
from aira_jax.proxies.cache import content_key
from aira_jax.statistics.rows import Skipped

WIDTH_SCALED = ", width 8 per layer"  # at the end of a preset's name: scores of another width are not comparable


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """One score of a pattern. `value` is the task's metric; `loss` the mean cross-entropy in nats, where it is known.

    `micro`, `macro` (accuracies) and `tasks` are those of the proxy, None or empty where it has none.
    """

    value: float
    eval_seed: int
    data_seed: int | None = None
    micro: float | None = None
    macro: float | None = None
    loss: float | None = None
    tasks: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    cached: bool | None = None
    key: str | None = None
    sources: str | None = None
    corpus: str | None = None
    dtype: str | None = None
    device: str | None = None
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, value: float, eval_seed: int, result: Mapping[str, Any]) -> "Measured":
        """From the result object of a scoring execution."""
        extra = result.get("extra") or {}
        proxy = extra.get("proxy") or {}
        return cls(
            value=float(value),
            eval_seed=eval_seed,
            data_seed=proxy.get("seed"),
            micro=proxy.get("score"),
            macro=proxy.get("macro"),
            loss=proxy.get("loss"),
            tasks=proxy.get("tasks") or {},
            cached=proxy.get("cached"),
            key=proxy.get("key"),
            sources=_sources(proxy),
            corpus=_corpus(proxy.get("corpus")),
            dtype=proxy.get("dtype"),
            device=proxy.get("device"),
            versions=proxy.get("versions") or {},
        )


def _sources(proxy: Mapping[str, Any]) -> str | None:
    """The digest of what scored, shortened; older logs have a number in its place."""
    found = proxy.get("sources", proxy.get("revision"))
    told = None if found is None else str(found)[:12]
    return f"{told} (other sources than the run's)" if proxy.get("by_other_sources") else told


def _corpus(manifest: Mapping[str, Any] | str | None) -> str | None:
    """A name for a text corpus: what it is called, and the hash of all that is known about it."""
    if not isinstance(manifest, Mapping):
        return manifest
    return f"{manifest.get('corpus', 'corpus')} {content_key(manifest)[:8]}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One evaluated step. `t` is the Unix time of its commit, `space` as in dims, `step` the node id.

    `pattern` is canonical, `given` as proposed. `preset` names the fidelity; scores of different presets never mix.
    `validation` is what the search saw, a mean over the `evaluator_seeds` first evaluator seeds, `tests` what it never
    saw. `duplicate_of` names the step whose result was
    reused. `wall_s` counts the evaluator's seconds for the validation score.
    """

    run: str
    t: float
    task: str
    space: dims.Space
    lower_is_better: bool
    preset: str
    evaluator_seeds: int
    proposer: str
    llm: str
    scaffold: str
    agent: str
    seed: int
    step: int
    operator: str
    parents: tuple[int, ...]
    pattern: str
    given: str
    layers: int
    rationale: str
    status: str
    validation: Measured | None
    tests: tuple[Measured, ...]
    submitted: bool
    duplicate_of: int | None
    wall_s: float
    code_version: str

    @property
    def arm(self) -> tuple[str, str, str]:
        """Whose step this is: rows of one arm are repetitions with other seeds."""
        return self.task, self.preset, self.agent


@dataclasses.dataclass(frozen=True)
class RunFacts:
    """A run that was read. `steps` are all committed nodes, `rows` those whose candidate held a pattern."""

    path: str
    task: str
    agent: str
    seed: int
    preset: str
    steps: int
    rows: int
    tested: int


@dataclasses.dataclass(frozen=True)
class Collection:
    rows: tuple[Row, ...]
    runs: tuple[RunFacts, ...]
    skipped: tuple[Skipped, ...]


def write_table(rows: Sequence[Row], path: str | os.PathLike) -> None:
    """One JSON object a line; the same runs give the same bytes. Raises ValueError where `path` cannot be written."""
    lines = (json.dumps(dataclasses.asdict(row), sort_keys=True, ensure_ascii=False) + "\n" for row in rows)
    try:
        write_atomically(Path(path), "".join(lines).encode("utf-8", "replace"))
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}: choose another place for the table") from error


def read_table(path: str | os.PathLike) -> tuple[Row, ...]:
    """The rows that `write_table` wrote. Raises ValueError naming the file and the line that is none of its own."""
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}: name a table that scripts/collect.py wrote") from error
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            values = json.loads(line)
            measured = values.pop("validation")
            tests = tuple(Measured(**test) for test in values.pop("tests"))
            parents = tuple(values.pop("parents"))
            validation = None if measured is None else Measured(**measured)
            rows.append(Row(**values, parents=parents, validation=validation, tests=tests))
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise ValueError(
                f"{path} line {number} is no row of this table ({error}): run scripts/collect.py"
            ) from None
    return tuple(rows)
