"""MAD data as a task sees them: rows for the agent, and labels in folders of their own.

    train/                   x, y, probe of 70 % of the train rows; manifest.json
    validation/              x of the other 30 % (with y and probe where the agent measures itself)
    test/                    x of the test rows
    validation_with_labels/  y, probe of the validation rows; manifest.json with the seed: evaluator only
    test_with_labels/        the same, and y of the test rows: evaluator only

Every folder has one .npz file per MAD task. Where a task has several data sets, `part` names the folder of MAD in each.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from aira_jax.core.files import write_json
from aira_jax.proxies import fidelity, mad
from aira_jax.tasks import manifests
from aira_jax.tasks.compose.proxies import Data
from aira_jax.tasks.evaluation import EvaluatorError, Split
from aira_jax.tasks.manifests import LABELS, MANIFEST, load_arrays, save_arrays

FORMAT = 1


def make(profile: str, seed: int) -> dict[str, mad.Dataset]:
    """All rows of all tasks of a profile, drawn anew; nothing is written to a disk."""
    preset = fidelity.get(profile)
    return {task: mad.make(task, preset.train, preset.test, seed, **preset.fields(task)) for task in preset.tasks}


def write_agent(mount: Path, *, profile: str, seed: int, self_reported: bool = False, part: str = "") -> None:
    """Writes train/, validation/ and test/ into `mount`; validation labels only if the agent measures itself."""
    datasets = make(profile, seed)
    for task, data in datasets.items():
        fit, held = (data.train[rows] for rows in mad.validation_indices(len(data.train)))
        save_arrays(mount / "train" / part / f"{task}.npz", vars(fit))
        save_arrays(mount / "validation" / part / f"{task}.npz", vars(held) if self_reported else {"x": held.x})
        save_arrays(mount / "test" / part / f"{task}.npz", {"x": data.test.x})
    write_json(mount / "train" / part / MANIFEST, _manifest(profile, datasets))


def write_labels(mount: Path, *, profile: str, seed: int, split: Split, part: str = "") -> None:
    """Writes the labels of `split` into `mount`; those of the test split include the validation labels."""
    datasets = make(profile, seed)
    folder = mount / LABELS[split] / part
    for task, data in datasets.items():
        held = data.train[mad.validation_indices(len(data.train))[1]]
        labels = {"validation_y": held.y, "validation_probe": held.probe}
        save_arrays(folder / f"{task}.npz", labels | ({"test_y": data.test.y} if split is Split.TEST else {}))
    write_json(folder / MANIFEST, {**_manifest(profile, datasets), "seed": seed})


def read(data_dir: Path, *, profile: str, split: Split, part: str = "") -> Data:
    """The data of one evaluation: all train rows, and the test rows where `split` is TEST (else without targets).

    Raises EvaluatorError if something is missing, was made for another profile or does not belong together.
    """
    manifest, seed = manifests.read_pair(data_dir, profile=profile, split=split, format=FORMAT, part=part)
    folder = data_dir / LABELS[split] / part
    labels = {task: load_arrays(folder / f"{task}.npz") for task in manifest["tasks"]}
    return Data(_datasets(data_dir, part, manifest, labels), seed)


def read_self_reported(data_dir: Path, part: str = "") -> tuple[Data, str]:
    """The agent's own view, and its profile: train rows and labelled validation rows, no test targets.

    Raises EvaluatorError if the validation rows have no labels here.
    """
    manifest = manifests.read(data_dir / "train" / part, format=FORMAT)
    labels = {}
    for task in manifest["tasks"]:
        folder = data_dir / "validation" / part
        held = load_arrays(folder / f"{task}.npz")
        if "probe" not in held:
            raise manifests.withheld(folder, "labels")
        labels[task] = {"validation_y": held["y"], "validation_probe": held["probe"]}
    digest = manifest["tasks"][min(manifest["tasks"])]["digest"]
    return Data(_datasets(data_dir, part, manifest, labels), int(digest[:15], 16)), manifest["profile"]


def _datasets(
    data_dir: Path, part: str, manifest: Mapping[str, Any], labels: Mapping[str, Mapping]
) -> dict[str, mad.Dataset]:
    return {task: _dataset(data_dir, part, task, facts, labels[task]) for task, facts in manifest["tasks"].items()}


def _dataset(
    data_dir: Path, part: str, task: str, facts: Mapping[str, Any], labels: Mapping[str, np.ndarray]
) -> mad.Dataset:
    fit = mad.Rows(**load_arrays(data_dir / "train" / part / f"{task}.npz"))
    held_x = load_arrays(data_dir / "validation" / part / f"{task}.npz")["x"]
    held = mad.Rows(held_x, labels["validation_y"], labels["validation_probe"])
    test_x = load_arrays(data_dir / "test" / part / f"{task}.npz")["x"]
    train = mad.joined(fit, held)
    if mad.digest(train.x) + mad.digest(test_x) != facts["digest"]:
        raise EvaluatorError(f"the rows of {task} in {data_dir} are not those of its manifest: prepare the data again")
    test_y = labels.get("test_y", np.full_like(test_x, mad.IGNORED))
    return mad.Dataset(train, mad.Rows(test_x, test_y, test_y), facts["vocab"])


def _manifest(profile: str, datasets: Mapping[str, mad.Dataset]) -> dict[str, Any]:
    preset = fidelity.get(profile)
    tasks = {
        task: {
            "vocab": data.vocab,
            "fields": mad.resolve(task, preset.fields(task)),
            "digest": mad.digest(data.train.x) + mad.digest(data.test.x),
        }
        for task, data in datasets.items()
    }
    return {"format": FORMAT, "profile": profile, "ignored_target": mad.IGNORED, "tasks": tasks}
