"""The answers of a run as a replay file in the keyed form."""

import json
from collections.abc import Iterator, Sequence

from aira_jax.llm.base import Role
from aira_jax.search.events import Blobs, Kind, Record
from aira_jax.search.tree import resolve


def replay_lines(records: Sequence[Record], blobs: Blobs) -> Iterator[str]:
    """One JSON line per answered call: node, operator, attempt, and all that the replay backend gives back."""
    operators = {record["node"]: record["operator"] for record in records if record["kind"] == Kind.ACTION}
    prompts = {(r["node"], r["role"], r["attempt"]): r["prompt_sha"] for r in records if r["kind"] == Kind.LLM_REQUEST}
    answers = {(r["node"], r["role"], r["attempt"]): r for r in records if r["kind"] == Kind.LLM_RESULT}
    for (node, role, attempt), record in sorted(answers.items()):
        line = {
            "node": node,
            "operator": "analyze" if role == Role.ANALYZE else operators[node],
            "role": role,
            "attempt": attempt,
            "completion": resolve(record["text"], blobs),
            "usage": record["usage"],
            "stop_reason": record["stop_reason"],
            "model": record["model"],
            "request_id": record["request_id"],
            "prompt_sha": prompts[node, role, attempt],
            "error": record["error"],
        }
        yield json.dumps(line, sort_keys=True, ensure_ascii=False)
