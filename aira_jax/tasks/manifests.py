"""The manifests beside prepared data: which profile and rows they are of, and whether two folders belong together."""

import json
from pathlib import Path
from typing import Any

from aira_jax.tasks.evaluation import EvaluatorError, Split

MANIFEST = "manifest.json"
LABELS = {Split.VALIDATION: "validation_with_labels", Split.TEST: "test_with_labels"}


def read(folder: Path, *, format: int) -> dict[str, Any]:
    """The manifest of `folder`. Raises EvaluatorError if it is missing, damaged or of another format."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise EvaluatorError(f"{path} is missing: prepare the data (prepare.py, evaluate_prepare.py)") from error
    except ValueError as error:
        raise EvaluatorError(f"{path} is damaged ({error}): prepare the data again") from error
    if manifest.get("format") != format:
        raise EvaluatorError(f"{path} has format {manifest.get('format')}, needed {format}: prepare the data again")
    return manifest


def read_pair(data_dir: Path, *, profile: str, split: Split, format: int, part: str = "") -> tuple[dict[str, Any], int]:
    """The manifest of the train rows, and the data seed that only the labels of `split` tell.

    `part` names the folder inside train/ and its like where a task has several data sets. Raises EvaluatorError if they
    were made for another profile or do not belong together.
    """
    folder = data_dir / LABELS[split] / part
    manifest, labelled = read(data_dir / "train" / part, format=format), read(folder, format=format)
    if manifest["profile"] != profile:
        raise EvaluatorError(
            f"{data_dir} was prepared for profile {manifest['profile']}, not {profile}: "
            f"use --profile={manifest['profile']} or prepare the data again"
        )
    if {**labelled, "seed": None} != {**manifest, "seed": None}:
        raise EvaluatorError(f"{folder} does not belong to {data_dir / 'train' / part}: prepare both again")
    return manifest, int(labelled["seed"])
