"""The verdict on an execution: read from a model's answer, or made by rule."""

import dataclasses
import json
import math
import re
from collections.abc import Sequence

from aira_jax.search.log.tree import Node
from aira_jax.search.operators.answers import AnswerError


@dataclasses.dataclass(frozen=True)
class Analysis:
    """The verdict on an execution. `metric` is the number that the candidate printed (self-reported fitness only)."""

    is_bug: bool
    summary: str
    metric: float | None


UNAVAILABLE = Analysis(is_bug=True, summary="analysis unavailable", metric=None)


def parse_analysis(text: str) -> Analysis:
    """Reads `{"is_bug": bool, "summary": str, "metric": number or null}`, bare or in a fence, after optional thinking.

    Raises AnswerError with a message for the model; after three more tries the caller takes UNAVAILABLE.
    """
    body = text.rpartition("</think>")[2].strip()
    if fence := re.fullmatch(r"`{3,}\w*\n(.*?)\n?`{3,}", body, re.DOTALL):
        body = fence[1]
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise AnswerError(f"the answer is not one JSON object: {error}") from None
    if not isinstance(value, dict) or set(value) != {"is_bug", "summary", "metric"}:
        raise AnswerError('the answer must be a JSON object with exactly the keys "is_bug", "summary" and "metric"')
    if not isinstance(value["is_bug"], bool) or not isinstance(value["summary"], str):
        raise AnswerError('"is_bug" must be true or false and "summary" a string')
    return Analysis(value["is_bug"], value["summary"], _metric(value["metric"]))


def _metric(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise AnswerError('"metric" must be a number or null')
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise AnswerError('"metric" must be a finite number or null')
    return number


def rule_summary(subject: Node, parents: Sequence[Node], *, metric: str, lower_is_better: bool) -> str:
    """The summary of a node without a model: failure class and last traceback line, or metric and change to parent.

    `metric` names what steers the search. `subject` has its final status, fitness, signal, failure_class, message and
    output.
    """
    if subject.fitness is None:
        told = subject.message.strip().partition("\n")[0]
        last = _last_error(f"{subject.head}\n{subject.tail}")
        return "; ".join(dict.fromkeys(part for part in (f"failed ({subject.failure_class})", told, last) if part))
    text = f"{metric} {subject.steering:.6g}"
    for parent in parents:
        if parent.steering is not None:
            delta = subject.steering - parent.steering
            verdict = "equal" if delta == 0 else "better" if (delta < 0) == lower_is_better else "worse"
            text += f"; {verdict} than node {parent.id} by {delta:+.4g}" if delta else f"; equal to node {parent.id}"
    return text


def _last_error(output: str) -> str:
    """The last line that names an exception, as Python prints it at the end of a traceback; "" if there is none."""
    named = re.findall(r"^((?:\w+\.)*\w*(?:Error|Exception|Interrupt|Exit|Warning)\b.*)$", output, re.MULTILINE)
    return named[-1][:300] if named else ""
