"""A complete task folder in a few lines: whoever hands in a number gets it as the score."""

import textwrap
from pathlib import Path

import yaml

NAME = "GuessingToyAccuracy"

METADATA = {
    "metric_lower_is_better": False,
    "file_export_globs": ["submission.csv"],
    "container_python_requirements": [],
    "evaluate_container_python_requirements": [],
    "logging_info": {
        "name": NAME,
        "dataset": "Toy",
        "category": "Guessing",
        "research_problem": "Guessing",
        "output_type": "a number",
        "config": "default",
        "train_split": "train",
        "test_split": "test",
        "input_columns": ["x"],
        "scoring_column": "y",
        "shape": [1],
        "custom_gold_labels": True,
        "custom_rad_class": True,
        "metric": "Accuracy",
        "sota": [{"sota_paper_url": "https://example.org", "sota_score": 0.9}],
        "dataset_paper_url": "https://example.org",
    },
    "aira_jax": {
        "cli": 2,
        "artifact": "submission.csv",
        "editable": ["submission.csv"],
        "starter": ["submission.csv"],
        "executes_candidate": False,
        "exclusive": False,
        "validation_is_test": False,
        "limits": {"check_s": 10, "fit_s": 10, "score_s": 60, "memory_gb": 1},
        "profiles": {"smoke": {"rows": 1}},
        "interface": "one number",
    },
}

DESCRIPTION = """\
# Overview
## Task Description
## Data
### Dataset Structure
### Submission file
### Evaluation
"""

PREPARE = """
from aira_jax.tasks import preparation
arguments = preparation.parse(None, profiles=["paper", "smoke"])
for name in ("train", "validation", "test"):
    (arguments.mount / name).mkdir()
    (arguments.mount / name / "x.txt").write_text(str(preparation.data_seed(5)))
"""

EVALUATE_PREPARE = """
from aira_jax.tasks import preparation
arguments = preparation.parse(None, profiles=["paper", "smoke"])
folder = arguments.mount / f"{arguments.split}_with_labels"
folder.mkdir()
(folder / "y.txt").write_text("label")
"""

EVALUATE = """
import sys, time
from aira_jax.tasks import evaluation

def check(path):
    try:
        return float(path.read_text())
    except (OSError, ValueError) as error:
        raise evaluation.SubmissionError(f"submission.csv: {error}") from error

def score(arguments, value):
    if arguments.time_limit_s:
        time.sleep(30)
    assert (arguments.data_dir / f"{arguments.split}_with_labels" / "y.txt").read_text() == "label"
    return evaluation.Score(value)

sys.exit(evaluation.run("Accuracy", submission="submission.csv", profiles=["paper", "smoke"], check=check, score=score))
"""


def make(root: Path, *, metadata=METADATA, **replaced: str) -> Path:
    """Writes the folder; `replaced` gives other texts for prepare, evaluate_prepare, evaluate or description."""
    folder = root / NAME
    texts = {
        "metadata.yaml": yaml.safe_dump(metadata),
        "project_description.md": replaced.get("description", DESCRIPTION),
        "prepare.py": replaced.get("prepare", PREPARE),
        "evaluate_prepare.py": replaced.get("evaluate_prepare", EVALUATE_PREPARE),
        "evaluate.py": replaced.get("evaluate", EVALUATE),
        "starter/submission.csv": "0.5",
        "gold_submission.csv": "1.0",
        "broken/words.csv": "half",
    }
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return folder
