"""The trusted half of a LRA evaluation: it believes predictions only, and only well-formed ones."""

import io
import json
import pickle
import subprocess
import sys

import numpy as np
import pytest

from aira_jax.tasks import client, loader, mounts
from aira_jax.tasks.evaluation import Split
from aira_jax.tasks.lra import preparing, scripts, task_data
from lra.data import listops

NAME = "LongContextReasoningLRAListOpsAccuracy"
ROWS = 1000
EXPLODING = 'raise RuntimeError("the score must not run this")\n\n\nclass CustomEncoder:\n    pass\n'


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """./data of a trusted execution: both mounts of the validation split."""
    folder = tmp_path_factory.mktemp("score")
    whole = task_data.make("listops", "smoke", 0, None, folder / "whole")
    (folder / "data").mkdir()
    task_data.write_agent(folder / "data", whole, profile="smoke")
    task_data.write_labels(folder / "data", whole, profile="smoke", split=Split.VALIDATION)
    return folder / "data"


@pytest.fixture
def product(tmp_path):
    """Where a fit leaves what the score reads; the submission beside it explodes when it is run."""
    (tmp_path / "model.py").write_text(EXPLODING)
    (tmp_path / "predictions").mkdir()
    return tmp_path / "predictions"


def score(prepared, product):
    """(exit code, result file) of the stage score."""
    flags = {
        "submission-file": product.parent / "model.py",
        "split": "validation",
        "stage": "score",
        "workdir": product,
        "profile": "smoke",
        "data-dir": prepared,
        "isolation": "process",
        "result-file": product.parent / "result.json",
    }
    task = preparing.Task("listops", loader.load(NAME).folder)
    code = scripts.evaluate(task, [f"--{name}={value}" for name, value in flags.items()])
    return code, json.loads((product.parent / "result.json").read_text())


def answers(prepared, right):
    """Logits that name the right class in the first `right` rows and a wrong one in all others."""
    targets_N = task_data.read_labels(prepared, profile="smoke", split=Split.VALIDATION).targets_N
    said_N = np.where(np.arange(len(targets_N)) < right, targets_N, (targets_N + 1) % listops.CLASSES)
    return np.eye(listops.CLASSES, dtype=np.float32)[said_N]


@pytest.mark.parametrize("right", [0, 437, ROWS])
def test_the_value_is_the_share_of_right_rows_and_the_only_number_printed(prepared, product, right, capsys):
    np.save(product / "predictions.npy", answers(prepared, right))
    code, result = score(prepared, product)
    assert (code, result["value"], result["failure_class"]) == (0, right / ROWS, None)
    (block,) = client.RESULT_BLOCK.findall(capsys.readouterr().out)
    assert json.loads(block) == {"Accuracy": right / ROWS}


def test_the_result_tells_data_rows_settings_and_what_was_beaten(prepared, product):
    np.save(product / "predictions.npy", answers(prepared, 600))
    extra = score(prepared, product)[1]["extra"]
    assert (extra["data"], extra["surrogate"], extra["train_rows"], extra["scored_rows"]) == (
        "ListOps",
        False,
        20_000,
        ROWS,
    )
    assert extra["settings"]["max_length"] == 40
    assert set(extra["baselines"]) == {"majority", "root operator"}
    assert all(" beats " in line for line in extra["verdicts"].values())


@pytest.mark.parametrize(
    ("spoil", "failure"),
    [
        (lambda x: x[:-1], "shape"),
        (lambda x: x[:, :-1], "shape"),
        (lambda x: x.astype(np.int32), "shape"),
        (lambda x: x.astype(object), "shape"),
        (lambda x: x.T, "shape"),
        (lambda x: np.where(np.arange(len(x))[:, None] == 3, np.nan, x), "nan"),
        (lambda x: np.where(np.arange(len(x))[:, None] == 3, -np.inf, x), "nan"),
    ],
)
def test_answers_of_another_form_are_the_candidates_failure(prepared, product, spoil, failure):
    np.save(product / "predictions.npy", spoil(answers(prepared, ROWS)))
    code, result = score(prepared, product)
    assert (code, result["value"], result["failure_class"]) == (3, None, failure)


def test_no_answers_are_the_candidates_failure(prepared, product):
    assert score(prepared, product)[1]["failure_class"] == "exit"


def claiming(shape):
    """A .npy file of a few bytes whose header promises `shape`."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return file.getvalue()


def archive():
    file = io.BytesIO()
    np.savez(file, np.zeros((ROWS, listops.CLASSES), np.float32))
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY nonsense",
        b"\x93NUMPY\x01\x00\x40\x1f" + b"(" * 8000,
        b"PK\x03\x04 no archive",
        archive(),
        claiming((10**12, listops.CLASSES)),
        claiming((10**30,)),
        pickle.dumps("a surprise"),
    ],
    ids=["empty", "torn", "nested", "torn archive", "archive", "huge", "beyond an index", "pickle"],
)
def test_hostile_bytes_in_place_of_answers_are_the_candidates_failure_too(prepared, product, content):
    """None is parsed: numpy.load answers some with MemoryError, some with objects that are no array."""
    (product / "predictions.npy").write_bytes(content)
    code, result = score(prepared, product)
    assert (code, result["value"], result["failure_class"]) == (3, None, "shape")


def test_what_a_fit_claims_about_itself_counts_only_in_the_right_type(prepared, product):
    np.save(product / "predictions.npy", answers(prepared, 1))
    claims = {"value": 1.0, "n_params": "many", "steps": 10**400, "train_s": 2.5, "curve": [[1, 2.0], "x"], "extra": 7}
    (product / "fit.json").write_text(json.dumps(claims))
    result = score(prepared, product)[1]
    assert (result["value"], result["n_params"], result["train_s"]) == (0.001, None, 2.5)
    assert (result["curve"], result["extra"]["fit"]) == ([], {})


@pytest.mark.parametrize(
    "claim",
    ['{"curve": [[1, 1' + "0" * 400 + "]]}", '{"curve": [[1, NaN]]}', '{"extra": ' + '{"a":' * 700 + "1" + "}" * 701],
    ids=["huge", "not a number", "deep"],
)
def test_claims_that_nobody_could_print_or_draw_are_dropped(prepared, product, claim):
    np.save(product / "predictions.npy", answers(prepared, ROWS))
    (product / "fit.json").write_text(claim)
    code, result = score(prepared, product)
    assert (code, result["value"], result["curve"], result["extra"]["fit"]) == (0, 1.0, [], {})


def test_claims_that_cannot_be_or_that_nobody_asked_for_are_dropped(prepared, product):
    np.save(product / "predictions.npy", answers(prepared, ROWS))
    extra = {"compile_s": "<b>", "steps_per_s": -1, "train_rows": 8, "mine": 1, "warnings": ["slow", 1]}
    (product / "fit.json").write_text(json.dumps({"train_s": -5, "n_params": -1, "steps": 1.5, "extra": extra}))
    result = score(prepared, product)[1]
    assert (result["train_s"], result["n_params"], result["steps"]) == (0.0, None, None)
    assert result["extra"]["fit"] == {"compile_s": None, "steps_per_s": None, "train_rows": 8}


def test_the_score_needs_neither_jax_nor_the_candidates_code(prepared, product):
    np.save(product / "predictions.npy", answers(prepared, ROWS))
    script = loader.load(NAME).folder / "evaluate.py"
    flags = [
        "--stage=score",
        "--isolation=process",
        "--split=validation",
        "--profile=smoke",
        f"--workdir={product}",
        f"--data-dir={prepared}",
    ]
    run = subprocess.run(
        [sys.executable, "-X", "importtime", str(script), *flags],
        cwd=product.parent,
        env=mounts.script_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert '{"Accuracy": 1.0}' in run.stdout
    imported = {line.rsplit("|", 1)[1].strip() for line in run.stderr.splitlines() if line.count("|") == 2}
    assert "numpy" in imported
    assert not {"jax", "flax", "model"} & imported


def test_missing_labels_are_the_evaluators_own_fault(prepared, product, tmp_path):
    np.save(product / "predictions.npy", answers(prepared, ROWS))
    (tmp_path / "data").mkdir()
    for name in ("train", "validation", "test", "validation_inputs"):
        (tmp_path / "data" / name).symlink_to(prepared / name)
    code, result = score(tmp_path / "data", product)
    assert (code, result["failure_class"]) == (1, "infra")
