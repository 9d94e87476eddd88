"""evaluate.py: exit codes, the result block, the result file, the time limit."""

import json
import math
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aira_jax.core.failures import Failure
from aira_jax.core.files import write_json
from aira_jax.tasks import evaluation, mounts
from aira_jax.tasks.evaluation import CandidateError, EvaluatorError, Score, SubmissionError

UPSTREAM = re.compile(r"--- EVALUATION RESULT ---\s*(\{[\s\S]*?\})")


def evaluate(tmp_path, *flags, check=str, score=lambda arguments, candidate: Score(0.5), fit=None):
    """Runs an evaluation in this process: (exit code, result file)."""
    result = tmp_path / "result.json"
    argv = [f"--result-file={result}", "--submission-file=s.csv", *flags]
    code = evaluation.run(
        "Accuracy", submission="s.csv", profiles=("smoke", "paper"), check=check, score=score, fit=fit, argv=argv
    )
    return code, json.loads(result.read_text())


def raising(error):
    def function(*arguments):
        raise error

    return function


def test_a_score_prints_one_flat_block_and_writes_all_details(tmp_path, capsys):
    full = Score(
        0.25, train_s=2.0, device_s=3.0, n_params=7, steps=9, curve=[[1, 0.5], [2, math.nan]], extra={"a": [1]}
    )
    code, result = evaluate(tmp_path, "--seed=3", "--profile=smoke", "--split=validation", score=lambda *_: full)
    assert code == 0
    assert capsys.readouterr().out == '--- EVALUATION RESULT ---\n{"Accuracy": 0.25}\n'
    assert result.pop("wall_s") >= 0
    assert result == {
        "metric": "Accuracy",
        "value": 0.25,
        "split": "validation",
        "stage": "all",
        "seed": 3,
        "profile": "smoke",
        "failure_class": None,
        "message": "",
        "train_s": 2.0,
        "device_s": 3.0,
        "n_params": 7,
        "steps": 9,
        "curve": [[1, 0.5], [2, None]],
        "extra": {"a": [1]},
    }


def test_the_block_satisfies_the_expression_that_airs_bench_reads_it_with(tmp_path, capsys):
    evaluate(tmp_path, score=lambda *_: Score(1 / 3))
    (block,) = UPSTREAM.findall(capsys.readouterr().out)
    assert json.loads(block) == {"Accuracy": 1 / 3}


def test_score_gets_the_flags_and_what_check_returned(tmp_path):
    seen = []
    evaluate(
        tmp_path, "--time-limit-s=9.5", check=lambda path: f"<{path}>", score=lambda *a: seen.append(a) or Score(1.0)
    )
    ((arguments, candidate),) = seen
    assert candidate == "<s.csv>"
    assert (arguments.split, arguments.stage, arguments.seed, arguments.profile) == ("test", "all", 0, "paper")
    assert (arguments.time_limit_s, arguments.data_dir, arguments.workdir) == (9.5, Path("data"), Path())


def test_the_fit_stage_of_code_writes_how_it_went_and_no_value(tmp_path, capsys):
    def fit(arguments, candidate):
        return Score(math.nan, train_s=2.0, steps=9, extra={"a": 1})

    code, result = evaluate(tmp_path, "--stage=fit", fit=fit, score=raising(AssertionError("scored")))
    assert (code, result["value"], result["failure_class"]) == (0, None, None)
    assert (result["stage"], result["train_s"], result["steps"], result["extra"]) == ("fit", 2.0, 9, {"a": 1})
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("stage", ["all", "score"])
def test_the_other_stages_of_code_are_the_scores(tmp_path, stage):
    code, result = evaluate(tmp_path, f"--stage={stage}", fit=raising(AssertionError("fitted")))
    assert (code, result["value"]) == (0, 0.5)


def test_the_check_stage_scores_nothing(tmp_path, capsys):
    code, result = evaluate(tmp_path, "--stage=check", score=raising(AssertionError("scored")))
    assert (code, result["value"], result["failure_class"]) == (0, None, None)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("stage", ["all", "check"])
@pytest.mark.parametrize(
    ("error", "code", "failure"),
    [
        (SubmissionError("row 1 is wrong"), 2, "interface"),
        (SubmissionError("row 1 is wrong", failure=Failure.SYNTAX), 2, "syntax"),
    ],
)
def test_an_invalid_submission_ends_with_exit_2(tmp_path, capsys, stage, error, code, failure):
    found, result = evaluate(tmp_path, f"--stage={stage}", check=raising(error))
    assert (found, result["value"], result["failure_class"]) == (code, None, failure)
    assert result["message"] == "row 1 is wrong"
    output = capsys.readouterr()
    assert (output.out, output.err) == ("", "error: row 1 is wrong\n")


@pytest.mark.parametrize(
    ("error", "code", "failure"),
    [
        (CandidateError(Failure.NAN, "diverged on compression"), 3, "nan"),
        (CandidateError(Failure.OOM, "too large"), 3, "oom"),
        (EvaluatorError("no data"), 1, "infra"),
    ],
)
def test_failures_after_the_check_have_their_code_and_class(tmp_path, capsys, error, code, failure):
    found, result = evaluate(tmp_path, score=raising(error))
    assert (found, result["value"], result["failure_class"]) == (code, None, failure)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_value_that_is_not_finite_is_no_score(tmp_path, capsys, value):
    code, result = evaluate(tmp_path, score=lambda *_: Score(value, extra={"kept": 1}))
    assert (code, result["value"], result["failure_class"], result["extra"]) == (3, None, "nan", {"kept": 1})
    assert capsys.readouterr().out == ""


def test_an_unforeseen_error_is_the_evaluators_own(tmp_path):
    with pytest.raises(ZeroDivisionError):
        evaluate(tmp_path, score=lambda *_: 1 / 0)
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["failure_class"], result["value"]) == ("infra", None)
    assert "ZeroDivisionError" in result["message"]


@pytest.mark.parametrize(
    "flag",
    [
        "--stage=train",
        "--split=train",
        "--profile=papr",
        "--seed=-1",
        "--seed=x",
        "--time-limit-s=0",
        "--time-limit-s=nan",
        "--subm=x",
        "--unknown",
    ],
)
def test_bad_flags_end_with_exit_2(tmp_path, capsys, flag):
    with pytest.raises(SystemExit) as caught:
        evaluate(tmp_path, flag)
    assert caught.value.code == 2
    assert "error:" in capsys.readouterr().err


SCRIPT = """
import sys, time
from aira_jax.tasks import evaluation

def score(arguments, candidate):
    if {busy}:
        time.sleep(60)
    return evaluation.Score(0.5)

sys.exit(evaluation.run("Accuracy", submission="s", profiles=("paper",), check=str, score=score))
"""


@pytest.mark.parametrize(("busy", "code", "failure"), [(True, 3, "timeout"), (False, 0, None)])
def test_the_time_limit_ends_a_main_thread_that_waits(tmp_path, busy, code, failure):
    script, result = tmp_path / "script.py", tmp_path / "result.json"
    script.write_text(SCRIPT.format(busy=busy))
    command = [sys.executable, str(script), "--time-limit-s=0.3", f"--result-file={result}"]
    start = time.monotonic()
    done = subprocess.run(
        command, env=mounts.script_environment(), capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == code
    assert ("EVALUATION RESULT" in done.stdout) == (failure is None)
    content = json.loads(result.read_text())
    assert content["failure_class"] == failure
    assert (content["value"] is None) == bool(failure)
    assert time.monotonic() - start < 20


def test_the_result_file_is_written_in_one_step(tmp_path):
    evaluate(tmp_path)
    evaluate(tmp_path, "--seed=1")
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_the_result_file_may_lie_in_a_new_folder(tmp_path):
    write_json(tmp_path / "a" / "b.json", {"x": -math.inf, "y": (1, {"z": math.nan})})
    assert json.loads((tmp_path / "a" / "b.json").read_text()) == {"x": None, "y": [1, {"z": None}]}


def test_what_a_candidate_says_is_bounded_and_cannot_steer_the_terminal(tmp_path, capsys):
    error = CandidateError(Failure.EXIT, "\x1b]0;title\x07\x1b[2Jgone\x07" + "x" * 1_000_000)
    evaluate(tmp_path, score=raising(error))
    shown = capsys.readouterr().err
    assert shown.startswith("error: gone\u2407x")
    assert "\x1b" not in shown
    assert len(shown) < 25_000
