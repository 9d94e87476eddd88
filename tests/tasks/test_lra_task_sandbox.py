"""LRA evaluations by hand, through the real sandbox: what a candidate can reach, what training is worth, failures."""

import json
import shutil
import subprocess
import sys

import pytest

from aira_jax.sandbox import make
from aira_jax.tasks import loader, mounts
from aira_jax.tasks.evaluation import EvaluatorError, Split
from aira_jax.tasks.lra import fit, raw_data, task_data

LISTOPS = "LongContextReasoningLRAListOpsAccuracy"
REPORT = "--result-file=evaluation_report.json"
CONFIGURABLE = "LongContextReasoningLRAListOpsConfigurableAccuracy"


def evaluate(tmp_path, name, source, *flags):
    """(exit code, evaluation_report.json, output) of evaluate.py in the profile smoke, in a folder of its own."""
    (tmp_path / "model.py").write_text(source)
    command = [sys.executable, str(loader.load(name).folder / "evaluate.py"), "--profile=smoke", *flags]
    env = {key: value for key, value in mounts.script_environment().items() if key != raw_data.VARIABLE}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    return done.returncode, json.loads((tmp_path / "evaluation_report.json").read_text()), done.stdout + done.stderr


def starter(name):
    return loader.load(name).starter["model.py"]


SPY = """
import json, os
FOUND = sorted(
    os.path.join(folder, name)
    for root in ({roots})
    for folder, _, names in os.walk(root)
    for name in names
)
os.makedirs("predictions", exist_ok=True)
json.dump(FOUND, open("predictions/found.json", "w"))
raise ImportError("walked")
"""


@pytest.fixture
def isolated(tmp_path):
    if not make().probe().files:
        pytest.skip("this machine gives no mount namespace: the sandbox cannot hide files here (its README says so)")


@pytest.mark.usefixtures("isolated")
def test_a_candidate_that_walks_the_file_system_finds_no_labels_and_no_test_rows(tmp_path):
    """It knows the paths of ./data, of the labels and of the raw folder, and reads what is there."""
    mounted, work = tmp_path / "mounted", tmp_path / "work"
    whole = task_data.make("listops", "smoke", 0, None, tmp_path / "whole")
    mounted.mkdir()
    work.mkdir()
    task_data.write_agent(mounted, whole, profile="smoke")
    task_data.write_labels(mounted, whole, profile="smoke", split=Split.VALIDATION)
    (work / "data").mkdir()
    for path in mounted.iterdir():
        (work / "data" / path.name).symlink_to(path)
    shutil.rmtree(tmp_path / "whole")
    roots = f"'data', {str(mounted / 'validation_with_labels')!r}, {str(tmp_path)!r}"
    source = SPY.format(roots=roots) + starter(LISTOPS)
    code, report, _ = evaluate(
        work, LISTOPS, source, "--split=validation", "--workdir=kept", REPORT, "--isolation=process"
    )
    assert (code, report["failure_class"]) == (3, "import")
    found = json.loads((work / "kept" / "found.json").read_text())
    assert "data/train/train/targets.npy" in found
    assert "data/validation_inputs/validation/tokens.bin" in found
    labels = [path for path in found if path.endswith(("targets.npy", "baselines.json")) and "train/train" not in path]
    tests = [path for path in found if "test" in path.removeprefix(str(tmp_path)) and "manifest.json" not in path]
    assert (labels, tests) == ([], [])


@pytest.mark.slow
def test_a_trained_model_beats_the_same_untrained_one(tmp_path):
    values = {}
    for steps in (2, 400):
        folder = tmp_path / str(steps)
        folder.mkdir()
        source = starter(CONFIGURABLE).replace("LR = 1e-3", f"LR = 1e-3\nNUM_TRAIN_STEPS = {steps}\nWARMUP_STEPS = 1")
        code, report, output = evaluate(folder, CONFIGURABLE, source)
        assert code == 0, output
        values[steps] = report["value"]
        assert steps > 2 or "does not beat root operator" in output
        assert report["extra"]["settings"]["num_train_steps"] == report["steps"] == steps
        assert output.count("EVALUATION RESULT") == 1
    assert values[400] > values[2] + 0.05


@pytest.mark.slow
def test_the_starter_beats_the_root_operator_and_what_it_wrote_is_kept_where_a_folder_is_named(tmp_path):
    code, _, output = evaluate(tmp_path, LISTOPS, starter(LISTOPS), "--workdir=kept", REPORT)
    assert code == 0, output
    assert json.loads((tmp_path / "evaluation_report.json").read_text())["value"] >= 0.42
    assert " beats root operator" in output
    assert {"predictions.npy", "fit.json", "run"} <= {path.name for path in (tmp_path / "kept").iterdir()}
    assert (tmp_path / "kept" / "run" / "metrics.jsonl").stat().st_size


@pytest.mark.slow
def test_the_starter_measures_itself_where_validation_rows_are_labelled(tmp_path):
    task = loader.load(LISTOPS)
    prepared = mounts.prepare(task, "smoke", tmp_path / "root", self_reported=True)
    work = tmp_path / "work"
    work.mkdir()
    for name, text in task.starter.items():
        (work / name).write_text(text)
    (work / "data").symlink_to(prepared.agent)
    command = [sys.executable, "solution.py"]
    done = subprocess.run(
        command, cwd=work, env=mounts.script_environment(), capture_output=True, text=True, check=True
    )
    assert 0.3 < float(done.stdout.removeprefix("validation Accuracy: ")) < 0.7
    assert sorted(path.name for path in work.iterdir()) == ["data", "model.py", "solution.py"]


def test_the_starter_cannot_measure_itself_without_labels(tmp_path):
    task_data.write_agent(tmp_path, task_data.make("listops", "smoke", 0, None, tmp_path / "whole"), profile="smoke")
    model = loader.load(LISTOPS).folder / "starter" / "model.py"
    with pytest.raises(EvaluatorError, match="fitness=self_reported"):
        fit.train_and_score("listops", model, data_dir=tmp_path)


@pytest.mark.slow
def test_a_fit_that_takes_too_long_is_a_timeout(tmp_path):
    code, report, _ = evaluate(tmp_path, LISTOPS, starter(LISTOPS), "--time-limit-s=4")
    assert (code, report["value"], report["failure_class"]) == (3, None, "timeout")


@pytest.mark.slow
def test_a_candidate_that_claims_a_score_gets_its_failure(tmp_path):
    """It writes a result file of its own and leaves: the claim is not believed."""
    lie = "import json, os\njson.dump({'value': 1.0, 'failure_class': None}, open('result.json', 'w'))\nos._exit(0)\n"
    code, report, _ = evaluate(tmp_path, LISTOPS, lie + starter(LISTOPS))
    assert (code, report["value"]) == (3, None)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in loader.names() if "Configurable" in name])
def test_the_gold_submission_is_trained_and_scored_by_hand(tmp_path, name):
    """20 updates, in the form that lets them be chosen; the same designs with fixed settings take minutes."""
    chosen = "\nNUM_TRAIN_STEPS = 20\nBATCH_SIZE = 8\nSEQ_LEN = 64\n"
    folders = [loader.load(form).folder for form in (name, name.replace("Configurable", ""))]
    for source in {(folder / "gold_submission.py").read_text() for folder in folders}:
        code, report, output = evaluate(tmp_path, name, source + chosen)
        assert code == 0, output
        assert 0 < report["value"] <= 1
        assert report["extra"]["surrogate"] == ("ListOps" not in name)
