"""What hostile candidate code may leave in its work directory for the harness to read."""

import json

import pytest

from aira_jax.search import evaluation, executions


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5000, "\xff", "[1]", ""])
def test_a_result_file_that_cannot_be_read_is_no_result(tmp_path, text):
    (tmp_path / "result.json").write_text(text, encoding="latin-1")
    assert executions.read_result(tmp_path / "result.json") is None


@pytest.mark.parametrize("message", [["a"], {"a": 1}, 7, "", None])
def test_a_message_that_is_no_text_gives_way_to_the_output(message):
    result = json.loads(json.dumps({"message": message}))
    end = {"failure_class": "nan", "result": result, "head": "epoch 1\nloss is nan\n", "tail": ""}
    assert evaluation.failure(end).message == "loss is nan"


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
