"""Replay: which recorded answer a request gets, what a log's cursor means, and what every bad file is told."""

import json
import re

import pytest

from aira_jax import llm
from aira_jax.core.operators import Operator
from aira_jax.llm.base import Context, ErrorKind, LLMError, Request, Role, Usage


def request(operator=Operator.IMPROVE, node=0, attempt=0):
    role = Role.ANALYZE if operator is Operator.ANALYZE else Role.PROPOSE
    return Request(operator, node, role, attempt, "sys", "user", 10, Context("T", 0, False))


def record(operator="improve", completion="c", **fields):
    return {"operator": operator, "completion": completion, **fields}


@pytest.fixture
def make(tmp_path):
    def build(lines, *, workers=1, cursor=(), **fields):
        path = tmp_path / "replay.jsonl"
        path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
        opts = llm.Options(backend="replay", path=str(path), **fields)
        return llm.make(opts, workers=workers, replay_cursor=cursor)

    return build


def test_records_without_keys_are_a_queue_for_each_operator(make):
    replay = make([record(completion="i0"), record("draft", "d0"), "", record(completion="i1")])
    got = [replay.complete(request(op, node)).text for node, op in enumerate(("improve", "improve", "draft"))]
    assert got == ["i0", "i1", "d0"]


def test_records_with_keys_are_found_in_any_order(make):
    lines = [record(completion="b", node=5, attempt=1), record(completion="a", node=5, attempt=0)]
    lines.append(record("analyze", "v", node=5, attempt=0, role="analyze"))
    replay = make(lines, workers=4)
    assert replay.complete(request(node=5)).text == "a"
    assert replay.complete(request(Operator.ANALYZE, node=5)).text == "v"
    assert replay.complete(request(node=5, attempt=1)).text == "b"


def test_usage_stop_reason_model_and_request_id_are_as_recorded(make):
    fields = {"usage": {"input": 3, "cache_read": 4}, "stop_reason": "max_tokens", "model": "m", "request_id": "r"}
    completion = make([record(**fields)]).complete(request())
    assert completion.usage == Usage(input=3, cache_read=4)
    assert (completion.stop_reason, completion.model, completion.request_id) == ("max_tokens", "m", "r")


def test_a_recorded_error_is_raised_again_with_its_usage(make):
    error = {"kind": "refused", "message": "no"}
    replay = make([record(completion="", error=error, usage={"output": 9})])
    with pytest.raises(LLMError, match="no") as caught:
        replay.complete(request())
    assert (caught.value.kind, caught.value.retryable, caught.value.usage.output) == (ErrorKind.REFUSED, False, 9)


def test_a_queue_goes_on_behind_what_the_log_holds(make):
    cursor = [(4, "improve", 0), (0, "draft", 0), (2, "improve", 0)]
    replay = make([record(completion=f"i{i}") for i in range(4)], cursor=cursor)
    assert replay.complete(request(node=5)).text == "i2"
    assert replay.unused() == {"improve": 1}


def test_an_exhausted_queue_says_how_many_there_are_and_how_to_go_on(make, tmp_path):
    replay = make([record() for _ in range(7)])
    for node in range(7):
        replay.complete(request(node=node))
    with pytest.raises(LLMError) as caught:
        replay.complete(request(node=12))
    assert caught.value.kind is ErrorKind.EXHAUSTED
    assert str(caught.value) == (
        f"replay file {tmp_path}/replay.jsonl has 7 'improve' records; node 12 attempt 0 needs an 8th; "
        "record more or set budget.steps=12"
    )


@pytest.mark.parametrize("count, words", [(0, "a 1st"), (1, "a 2nd"), (2, "a 3rd"), (10, "an 11th"), (21, "a 22nd")])
def test_the_number_that_is_missing_is_in_words(make, count, words):
    replay = make([record("draft")], cursor=[(i, "improve", 0) for i in range(count)])
    with pytest.raises(LLMError, match=f"needs {words};"):
        replay.complete(request(node=count))


def test_a_missing_key_says_which(make):
    replay = make([record(node=0, attempt=0)])
    with pytest.raises(LLMError, match=r"no 'improve' record for node 3 attempt 1; record more or set budget.steps=3"):
        replay.complete(request(node=3, attempt=1))


def test_unused_records_are_counted_for_a_warning(make):
    replay = make([record(node=0, attempt=0), record(node=1, attempt=0), record("draft", node=2, attempt=0)])
    replay.complete(request(node=1))
    assert "unused records: 1 'draft', 1 'improve'" in replay.leftover()
    replay.complete(request(node=0))
    replay.complete(request(Operator.DRAFT, node=2))
    assert replay.leftover() is None


def test_check_prompt_refuses_another_prompt(make):
    asked = request()
    assert make([record(prompt_sha=asked.prompt_sha)], check_prompt=True).complete(asked).text == "c"
    with pytest.raises(LLMError, match="line 1 was recorded for another prompt than that of node 0"):
        make([record(prompt_sha="0" * 64)], check_prompt=True).complete(asked)
    assert make([record(prompt_sha="0" * 64)]).complete(asked).text == "c"


@pytest.mark.parametrize(
    "lines, words",
    [
        ([record(), "", "{bad"], "line 3: not JSON"),
        (["[]"], "line 1: one JSON object is needed"),
        ([{"operator": "draft"}], "line 1: 'completion' must be a string"),
        ([{"completion": "x"}], "line 1: 'operator' must be a string"),
        ([record("wait")], "line 1: operator 'wait' is unknown; valid: draft, improve, debug, crossover, analyze"),
        ([record(node=1)], "line 1: node and attempt belong together"),
        ([record(node=-1, attempt=0)], "line 1: 'node' must be a whole number"),
        ([record(node=True, attempt=0)], "line 1: 'node' must be a whole number"),
        ([record(usage=[])], "line 1: 'usage' must be an object"),
        ([record(usage={"input": 0.5})], "line 1: the counts of 'usage'"),
        ([record(error={"kind": "odd", "message": "m"})], "line 1: 'error' needs a message and a kind out of auth,"),
        ([record(model=3)], "line 1: 'model' must be a string"),
        ([record(node=1, attempt=0), record()], "line 2: this record has no node and attempt but others have"),
        (
            [record(node=1, attempt=0), record(node=1, attempt=0)],
            "line 2: node 1 'improve' attempt 0 is given already in line 1",
        ),
    ],
)
def test_a_bad_file_is_refused_with_its_line(make, lines, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        make(lines)


def test_queues_need_one_worker(make):
    with pytest.raises(ValueError, match=re.escape("config.workers.n=1 (it is 2)")):
        make([record()], workers=2)


def test_check_prompt_needs_a_hash_in_every_record(make):
    with pytest.raises(ValueError, match=r"line 2: config.llm.check_prompt needs a prompt_sha"):
        make([record(prompt_sha="a"), record()], check_prompt=True)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"gone.jsonl cannot be read.*config.llm.path"):
        llm.make(llm.Options(backend="replay", path=str(tmp_path / "gone.jsonl")))
    with pytest.raises(ValueError, match=r"config.llm.path is empty"):
        llm.make(llm.Options(backend="replay"))
