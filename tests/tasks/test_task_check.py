"""The self-test of task folders holds for good ones and finds each kind of fault."""

import copy
import os
import subprocess
import sys
from pathlib import Path

import pytest
import toy_task

from aira_jax.tasks import check, loader, mounts

REPOSITORY = Path(__file__).parents[2]


EXAMPLES = Path(__file__).parent / "examples"


def faults(name, *, train=True):
    found = check.check(loader.load(name).folder, train=train, examples=EXAMPLES / name)
    return {finding.claim: finding.problem for finding in found if not finding.holds}


def first_fault(folder, *, train=True):
    return next((finding for finding in check.check(folder, train=train) if not finding.holds), None)


def test_a_good_folder_has_no_fault(tmp_path):
    folder = toy_task.make(tmp_path)
    findings = list(check.check(folder))
    assert [finding.problem for finding in findings] == [""] * 13


PAIRS = "LongContextReasoningLRARetrievalConfigurableAccuracy"
QUICK = ("LongContextReasoningLRAListOpsAccuracy", PAIRS)

OTHER_SPACE = ("OptionsAccuracy", "MAD3PrimitivesMbAccuracy", "DCLM2PrimitivesLoss")


def alike(name):
    """Tasks that share all code with one of QUICK, or but for their space or corpus with one that is checked anyway."""
    return name.endswith(OTHER_SPACE) or (name.startswith("LongContextReasoning") and name not in QUICK)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) if alike(name) or name == PAIRS else name for name in loader.names()],
)
def test_shipped_tasks_have_no_fault_apart_from_training(name):
    assert faults(name, train=False) == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in loader.names() if not alike(name)])
def test_shipped_tasks_train_their_starter(name):
    assert faults(name) == {}


def test_every_shipped_task_has_examples_and_carries_none():
    assert {path.name for path in EXAMPLES.iterdir()} == set(loader.names())
    assert not [path for path in loader.FOLDER.glob("*/*") if path.name in ("broken", "failing")]


MAKING_THE_DIRECTORY = """
import pathlib, sys
for flag in sys.argv[1:]:
    if flag.startswith("--agent-data-mount-dir"):
        pathlib.Path(flag.partition("=")[2]).mkdir(exist_ok=True)
"""

IGNORING_THE_LIMIT = """import sys, time
sys.argv = [flag for flag in sys.argv if not flag.startswith("--time-limit-s")]
"""


@pytest.mark.parametrize(
    ("replaced", "claim", "problem"),
    [
        (
            {"description": toy_task.DESCRIPTION.replace("## Data\n", "")},
            "description has all headings",
            "lacks ## Data",
        ),
        (
            {"prepare": toy_task.PREPARE.replace('"test"', '"tests"')},
            "data are prepared with labels apart",
            "tests, train, validation",
        ),
        (
            {"prepare": toy_task.PREPARE + '(arguments.mount / "test_with_labels").mkdir()\n'},
            "data are prepared with labels apart",
            "test_with_labels",
        ),
        (
            {"evaluate_prepare": "import sys\nsys.exit(0)"},
            "scripts have their flags",
            "evaluate_prepare.py has no --global-shared-data-dir",
        ),
        (
            {"evaluate_prepare": MAKING_THE_DIRECTORY + toy_task.EVALUATE_PREPARE},
            "preparing into no directory ends with exit 1",
            "evaluate_prepare.py with a missing directory: exit code 0, expected 1",
        ),
        (
            {"evaluate": toy_task.EVALUATE.replace("Score(value)", "Score(float('nan'))")},
            "starter scores on validation",
            "exit code 3, expected 0",
        ),
        (
            {"evaluate": toy_task.EVALUATE.replace("float(path.read_text())", "0.5")},
            "bad submissions end with exit 2 and no score",
            "words.csv: exit code",
        ),
        (
            {"evaluate": toy_task.EVALUATE.replace("import sys, time", IGNORING_THE_LIMIT)},
            "time limit ends with exit 3 and no score",
            "exit code 0, expected 3",
        ),
        (
            {
                "evaluate": toy_task.EVALUATE.replace(
                    "    return evaluation", '    print("--- EVALUATION RESULT ---\\n{}")\n    return evaluation'
                )
            },
            "starter scores on validation",
            "2 result blocks",
        ),
    ],
)
def test_each_fault_is_found(tmp_path, replaced, claim, problem):
    fault = first_fault(toy_task.make(tmp_path, **replaced))
    assert fault.claim == claim
    assert problem in fault.problem


def test_metadata_faults_end_the_examination(tmp_path):
    metadata = copy.deepcopy(toy_task.METADATA)
    del metadata["logging_info"]["metric"]
    findings = list(check.check(toy_task.make(tmp_path, metadata=metadata)))
    assert len(findings) == 1
    assert "logging_info.metric is missing" in findings[0].problem


def test_a_check_that_imports_jax_is_found(tmp_path):
    folder = toy_task.make(tmp_path, evaluate="import jax\n" + toy_task.EVALUATE)
    (folder / "jax.py").write_text("")
    fault = first_fault(folder, train=False)
    assert fault.claim == "starter passes the static check without jax"
    assert "imports jax" in fault.problem


def script(*arguments):
    command = [sys.executable, str(REPOSITORY / "scripts" / "task_check.py"), *arguments]
    env = os.environ | mounts.script_environment()
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_the_script_ends_with_0_when_all_claims_hold_and_with_1_otherwise(tmp_path):
    good = script(f"--folder={toy_task.make(tmp_path)}", "--notrain")
    assert (good.returncode, good.stdout.splitlines()[-1]) == (0, "all claims hold")
    bad = script(f"--folder={toy_task.make(tmp_path / 'bad', description='nothing')}", "--notrain")
    assert (bad.returncode, bad.stdout.splitlines()[-1]) == (1, "1 claims do not hold")
    assert "FAIL  description has all headings" in bad.stdout


def test_the_script_ends_with_2_on_an_unknown_task():
    result = script("--task=NeuralArchitectureSearchMAD")
    assert result.returncode == 2
    assert "did you mean" in result.stderr
    assert "Traceback" not in result.stderr
