"""The manifests beside prepared data: which profile and rows they are of, and whether two folders belong together."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aira_jax.tasks.evaluation import EvaluatorError, Split

if TYPE_CHECKING:
    import numpy as np

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
    check_profile(data_dir, manifest, profile)
    if {**labelled, "seed": None} != {**manifest, "seed": None}:
        raise EvaluatorError(f"{folder} does not belong to {data_dir / 'train' / part}: prepare both again")
    return manifest, int(labelled["seed"])


def check_profile(data_dir: Path, manifest: Mapping[str, Any], profile: str) -> None:
    """Raises EvaluatorError unless the data were prepared for this profile."""
    if manifest["profile"] != profile:
        raise EvaluatorError(
            f"{data_dir} was prepared for profile {manifest['profile']}, not {profile}: "
            f"use --profile={manifest['profile']} or prepare the data again"
        )


def withheld(folder: Path, what: str) -> EvaluatorError:
    """The error of an own measurement where `folder` has no labels."""
    return EvaluatorError(
        f"{folder} has no {what}: there only when the search takes the candidate's own measurement as its fitness "
        "(fitness=self_reported)"
    )


def save_arrays(path: Path, arrays: "Mapping[str, np.ndarray]") -> None:
    """Writes named arrays to an .npz file, whose folder is made."""
    import numpy as np

    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)


def load_arrays(path: Path) -> "dict[str, np.ndarray]":
    """The inverse of `save_arrays`. Raises EvaluatorError if nothing is there."""
    import numpy as np

    try:
        with np.load(path) as arrays:
            return dict(arrays)
    except FileNotFoundError as error:
        raise EvaluatorError(f"{path} is missing: prepare the data (prepare.py, evaluate_prepare.py)") from error
