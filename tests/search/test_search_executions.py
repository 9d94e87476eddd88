"""What hostile candidate code may leave in its work directory for the harness to read."""

import json

import pytest

from aira_jax.search.engine import evaluation, executions

END = {
    "phase": "fit_validation",
    "status": "fail",
    "killed_for": None,
    "failure_class": "nan",
    "result": None,
    "wall_s": 4.0,
    "exit_code": 3,
    "signal": None,
    "head": "",
    "tail": "",
}


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5000, "\xff", "[1]", ""])
def test_a_result_file_that_cannot_be_read_is_no_result(tmp_path, text):
    (tmp_path / "result.json").write_text(text, encoding="latin-1")
    assert executions.read_result(tmp_path / "result.json") is None


@pytest.mark.parametrize("message", [["a"], {"a": 1}, 7, "", None])
def test_a_message_that_is_no_text_gives_way_to_the_output(message):
    result = json.loads(json.dumps({"message": message}))
    end = END | {"result": result, "head": "epoch 1\nloss is nan\n"}
    assert evaluation.failure(end).message == "loss is nan"


@pytest.mark.parametrize(
    ("end", "message"),
    [
        (
            {"killed_for": "wall", "head": "epoch 1\n"},
            "fit_validation was killed after 4.0 s: it passed its limit of time",
        ),
        ({"killed_for": "processes"}, "fit_validation was killed after 4.0 s: it passed its limit of processes"),
        ({"killed_for": None}, "fit_validation ended with exit code 3, signal None"),
        ({"killed_for": None, "status": "ok"}, "fit_validation ended well, but without what it must write"),
    ],
)
def test_a_failure_says_how_the_execution_ended(end, message):
    assert evaluation.failure(END | end).message == message


@pytest.mark.parametrize("left", ["nothing", "file", "folder"])
def test_whatever_a_fit_leaves_the_score_finds_a_folder(tmp_path, left):
    made, target = tmp_path / "predictions", tmp_path / "kept"
    if left == "file":
        made.write_text("x")
    if left == "folder":
        made.mkdir()
        (made / "p.npy").touch()
    executions._carry(made, target)
    assert [path.name for path in target.iterdir()] == (["p.npy"] if left == "folder" else [])
