"""Recorded answers instead of a model: the same search again, without a key and without a cost.

A file has one JSON object a line, with `operator` (draft, improve, debug, crossover, analyze) and `completion`;
optional are node, attempt, role, usage, stop_reason, model, request_id, prompt_sha and `error` {kind, message}, which
is raised instead. When every record has node and attempt, an answer is found by (node, operator, attempt). When none
has, each operator is a queue in file order.
"""

import collections
import dataclasses
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aira_jax.llm import PROPOSERS, Options
from aira_jax.llm.base import Completion, ErrorKind, LLMError, Request, Usage

Key = tuple[int, str, int]
_COUNTS = tuple(field.name for field in dataclasses.fields(Usage) if field.name != "estimated")


@dataclasses.dataclass(frozen=True)
class Record:
    """One line of a replay file."""

    line: int
    operator: str
    completion: str
    node: int | None
    attempt: int | None
    usage: Usage
    stop_reason: str
    model: str
    request_id: str | None
    prompt_sha: str | None
    error: Mapping[str, Any] | None

    @property
    def key(self) -> Key | None:
        return None if self.node is None else (self.node, self.operator, self.attempt)


class Replay:
    """Answers from a file. `cursor`: the keys that a log holds answers for already; queues go on behind them.

    Raises ValueError for a file that cannot be read, a bad line (with its number), a mixture of records with and
    without keys, a key given twice, queues with workers > 1 (the order of requests would decide), or check_prompt
    without a prompt_sha in every record.
    """

    backend = "replay"

    def __init__(self, opts: Options, *, workers: int = 1, cursor: Iterable[Key] = ()):
        self.path, self.model, self._check_prompt = opts.path, opts.model, opts.check_prompt
        self._records = read(opts.path)
        self._keyed = _is_keyed(self.path, self._records)
        if self._check_prompt and (bare := [r.line for r in self._records if r.prompt_sha is None]):
            raise ValueError(f"{self.path} line {bare[0]}: config.llm.check_prompt needs a prompt_sha in every record")
        if workers > 1 and not self._keyed:
            raise ValueError(
                f"{self.path}: records without node and attempt are answered in the order of the requests, which needs "
                f"config.workers.n=1 (it is {workers}); or record the keyed form with scripts/export_replay.py"
            )
        self._by_key = _by_key(self.path, self._records) if self._keyed else {}
        self._queues = {op: [r for r in self._records if r.operator == op] for op in map(str, PROPOSERS)}
        self._used = collections.Counter(operator for _, operator, _ in set(cursor))
        self._used_keys = set(cursor)

    def complete(self, request: Request) -> Completion:
        """The recorded answer. Raises LLMError(EXHAUSTED) when there is none, or the error that was recorded."""
        record = self._find(request)
        if self._check_prompt and record.prompt_sha != request.prompt_sha:
            raise LLMError(
                ErrorKind.EXHAUSTED,
                f"{self.path} line {record.line} was recorded for another prompt than that of node {request.node} "
                f"attempt {request.attempt} ({record.prompt_sha[:12]} instead of {request.prompt_sha[:12]})",
                fix="record the file again with this version and config, or set config.llm.check_prompt=False",
            )
        if record.error is not None:
            raise LLMError(
                ErrorKind(record.error["kind"]),
                record.error["message"],
                retryable=False,
                usage=record.usage,
                request_id=record.request_id,
            )
        return Completion(
            record.completion, record.stop_reason, record.usage, record.model or self.model, record.request_id
        )

    def unused(self) -> Mapping[str, int]:
        """{operator: records that no request has asked for}, without zeros."""
        if self._keyed:
            left = collections.Counter(key[1] for key in self._by_key if key not in self._used_keys)
            return {op: left[op] for op in self._queues if left[op]}
        left = {op: len(queue) - self._used[op] for op, queue in self._queues.items()}
        return {op: count for op, count in left.items() if count > 0}

    def leftover(self) -> str | None:
        """One sentence on unused records for the end of a run, None when all were used."""
        counts = ", ".join(f"{count} {op!r}" for op, count in self.unused().items())
        return f"replay file {self.path} has unused records: {counts}" if counts else None

    def _find(self, request: Request) -> Record:
        operator = str(request.operator)
        key = (request.node, operator, request.attempt)
        if self._keyed:
            if key not in self._by_key:
                raise self._exhausted(
                    request,
                    f"has no {operator!r} record for node {request.node} attempt {request.attempt}; record more",
                )
            self._used_keys.add(key)
            return self._by_key[key]
        queue, used = self._queues[operator], self._used[operator]
        if used >= len(queue):
            raise self._exhausted(
                request,
                f"has {len(queue)} {operator!r} records; node {request.node} "
                f"attempt {request.attempt} needs {_ordinal(used + 1)}; record more",
            )
        self._used[operator] += 1
        return queue[used]

    def _exhausted(self, request: Request, problem: str) -> LLMError:
        fix = f"set budget.steps={request.node}"
        return LLMError(ErrorKind.EXHAUSTED, f"replay file {self.path} {problem} or {fix}", fix=f"record more or {fix}")


def read(path: str | Path) -> list[Record]:
    """The records of a replay file. Raises ValueError naming the file and the line."""
    if not path:
        raise ValueError("config.llm.path is empty; the replay backend needs the path of a JSONL file")
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"replay file {path} cannot be read: {error}; check config.llm.path") from None
    lines = enumerate(text.split("\n"), 1)
    return [_record(line, f"{path} line {number}", number) for number, line in lines if line.strip()]


def _record(line: str, where: str, number: int) -> Record:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: not JSON: {error}") from None
    if not isinstance(data, dict):
        raise ValueError(f"{where}: one JSON object is needed, this is a {type(data).__name__}")
    for name in ("operator", "completion"):
        if not isinstance(data.get(name), str):
            raise ValueError(f"{where}: {name!r} must be a string")
    if data["operator"] not in PROPOSERS:
        raise ValueError(f"{where}: operator {data['operator']!r} is unknown; valid: {', '.join(PROPOSERS)}")
    for name in ("node", "attempt"):
        if data.get(name) is not None and (type(data[name]) is not int or data[name] < 0):
            raise ValueError(f"{where}: {name!r} must be a whole number, 0 or more")
    for name in ("stop_reason", "model", "request_id", "prompt_sha"):
        if data.get(name) is not None and not isinstance(data[name], str):
            raise ValueError(f"{where}: {name!r} must be a string")
    if (data.get("node") is None) != (data.get("attempt") is None):
        raise ValueError(f"{where}: node and attempt belong together; give both or neither")
    return Record(
        line=number,
        operator=data["operator"],
        completion=data["completion"],
        node=data.get("node"),
        attempt=data.get("attempt"),
        usage=_usage({} if data.get("usage") is None else data["usage"], where),
        stop_reason=data.get("stop_reason") or "end_turn",
        model=data.get("model") or "",
        request_id=data.get("request_id"),
        prompt_sha=data.get("prompt_sha"),
        error=_error(data.get("error"), where),
    )


def _usage(data: Any, where: str) -> Usage:
    if not isinstance(data, dict):
        raise ValueError(f"{where}: 'usage' must be an object")
    counts = {name: data.get(name, 0) for name in _COUNTS}
    if any(type(count) is not int or count < 0 for count in counts.values()):
        raise ValueError(f"{where}: the counts of 'usage' must be whole numbers, 0 or more")
    return Usage(**counts, estimated=bool(data.get("estimated", False)))


def _error(data: Any, where: str) -> Mapping[str, Any] | None:
    if data is None:
        return None
    if (
        not isinstance(data, dict)
        or data.get("kind") not in list(ErrorKind)
        or not isinstance(data.get("message"), str)
    ):
        raise ValueError(f"{where}: 'error' needs a message and a kind out of {', '.join(ErrorKind)}")
    return data


def _is_keyed(path: str, records: list[Record]) -> bool:
    """Whether answers are found by key. A file must have keys in every record or in none."""
    bare = [record for record in records if record.key is None]
    if bare and len(bare) < len(records):
        raise ValueError(
            f"{path} line {bare[0].line}: this record has no node and attempt but others have; give them in every "
            "record or in none"
        )
    return bool(records) and not bare


def _by_key(path: str, records: list[Record]) -> dict[Key, Record]:
    found: dict[Key, Record] = {}
    for record in records:
        if record.key in found:
            node, operator, attempt = record.key
            raise ValueError(
                f"{path} line {record.line}: node {node} {operator!r} attempt {attempt} is given already in line "
                f"{found[record.key].line}"
            )
        found[record.key] = record
    return found


def _ordinal(n: int) -> str:
    """ "a 1st", "an 8th", "an 11th", "a 22nd"."""
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    article = "an" if str(n).startswith("8") or n in (11, 18) else "a"
    return f"{article} {n}{ending}"
