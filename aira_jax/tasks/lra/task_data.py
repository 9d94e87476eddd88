"""Data sets of `lra.data` as a task sees them: rows for the agent, and what is scored in folders of its own.

    train/                a data set: the train split, labelled; manifest.json
    validation/           a data set: the validation inputs (labelled where the agent measures itself)
    test/                 manifest.json: how many rows there are, nothing else
    <split>_inputs/       a data set: the rows to answer, unlabelled, in a secret order: for the fit
    <split>_with_labels/  targets.npy in that order; baselines.json; manifest.json with the seed: evaluator only

Smoke profiles score at most 1,000 rows of a split.
"""

import dataclasses
import json
import secrets
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from aira_jax.core.files import write_json
from aira_jax.tasks import manifests
from aira_jax.tasks.evaluation import EvaluatorError, Split
from aira_jax.tasks.lra import raw_data, stand_in
from aira_jax.tasks.manifests import LABELS, MANIFEST
from lra import diagnostics
from lra import settings as lra_settings
from lra.data import build, philox, store, writer

FORMAT = 1
INPUTS = {Split.VALIDATION: "validation_inputs", Split.TEST: "test_inputs"}
TARGETS, BASELINES = "targets.npy", "baselines.json"
SMOKE_ROWS = 1_000
WITHHELD = -1  # in place of the seed, in copies that candidates see
_SEEDLESS = ("retrieval",)


@dataclasses.dataclass(frozen=True)
class Labels:
    """What the score of a split needs. `baselines` maps names to accuracies on the same rows."""

    targets_N: np.ndarray
    classes: int
    label: str
    surrogate: bool
    train_rows: int
    baselines: Mapping[str, float]


def make(task: str, profile: str, seed: int, choice: raw_data.Choice | None, out: Path) -> store.Dataset:
    """The whole data set of a profile, made in `out` or, if the raw data are one already, opened where it lies.

    Raises ValueError, for example where a profile needs real data and there are none.
    """
    flags = dict(lra_settings.profile(task, profile).data)
    if "profile" in flags:
        flags["profile"] = build.Profile(flags["profile"])
    if task not in _SEEDLESS:
        flags["seed"] = seed
    if choice is None:
        return build.make(build.Request(task=build.Task(task), **flags), out)
    choice.require(profile)
    if choice.store:
        return store.open(choice.files[0], task)
    if choice.files:
        return build.make(build.Request(task=build.Task(task), **flags, **choice.flags), out)
    with tempfile.TemporaryDirectory() as raw:
        build.make(build.Request(task=build.Task(task), **flags, **stand_in.write(choice.kind, Path(raw))), out)
    writer.relabel(out, label=stand_in.LABELS[choice.kind], surrogate=True, source=raw_data.BUILTIN)
    return store.open(out, task)


def write_agent(mount: Path, dataset: store.Dataset, *, profile: str, self_reported: bool = False) -> None:
    """Writes train/, validation/ and test/ into `mount`; validation labels only if the agent measures itself."""
    _copy(dataset, mount / "train", "train", targets=True)
    _copy(dataset, mount / "validation", "validation", targets=self_reported)
    write_json(mount / "train" / MANIFEST, _manifest(dataset, profile))
    write_json(mount / "test" / MANIFEST, {"rows": dataset.meta.counts["test"]})


def write_labels(mount: Path, dataset: store.Dataset, *, profile: str, split: Split) -> None:
    """Writes the rows of `split` that are scored into `mount`, in a secret order, and their labels apart from them."""
    rows = np.arange(len(dataset.split(split)))
    if profile == "smoke" and len(rows) > SMOKE_ROWS:
        rows = np.sort(philox.permutation(dataset.meta.seed, philox.Tag.SUBSET, 0, len(rows))[:SMOKE_ROWS])
    order = np.random.default_rng(secrets.randbits(128)).permutation(rows)
    _copy(dataset, mount / INPUTS[split], split, targets=False, rows=order)
    folder = mount / LABELS[split]
    folder.mkdir()
    np.save(folder / TARGETS, dataset.split(split).targets_N[order])
    length = lra_settings.profile(dataset.meta.task, profile).settings.max_length
    write_json(folder / BASELINES, _baselines(dataset, split, rows, length))
    write_json(folder / MANIFEST, {**_manifest(dataset, profile), "seed": dataset.meta.seed})


def manifest(data_dir: Path) -> dict[str, Any]:
    """What the train rows are. Raises EvaluatorError if they are missing."""
    return manifests.read(data_dir / "train", format=FORMAT)


def check_profile(data_dir: Path, profile: str) -> None:
    """Raises EvaluatorError unless the data were prepared for this profile."""
    manifests.check_profile(data_dir, manifest(data_dir), profile)


def inputs(data_dir: Path, split: Split) -> store.Split:
    """The rows that a fit must answer, unlabelled. Raises EvaluatorError if they are missing or damaged."""
    try:
        return store.open(data_dir / INPUTS[split]).split(split)
    except ValueError as error:
        raise EvaluatorError(
            f"{data_dir / INPUTS[split]} is missing or damaged: prepare it with evaluate_prepare.py --split={split}"
        ) from error


def read_labels(data_dir: Path, *, profile: str, split: Split) -> Labels:
    """The labels of a split. Raises EvaluatorError if they are missing, or do not belong to the train rows."""
    known, _ = manifests.read_pair(data_dir, profile=profile, split=split, format=FORMAT)
    folder = data_dir / LABELS[split]
    try:
        targets_N = np.load(folder / TARGETS)
        baselines = json.loads((folder / BASELINES).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EvaluatorError(f"{folder} is damaged ({error}): prepare the data again") from error
    told = {key: known[key] for key in ("classes", "label", "surrogate")}
    return Labels(targets_N, **told, train_rows=known["counts"]["train"], baselines=baselines)


def verdicts(correct: int, labels: Labels) -> dict[str, str]:
    """One sentence per baseline: does the accuracy beat it?"""
    rows = len(labels.targets_N)
    found = (diagnostics.Baseline(name, accuracy, rows) for name, accuracy in labels.baselines.items())
    return {baseline.name: diagnostics.verdict(correct / rows, rows, baseline) for baseline in found}


def _copy(dataset: store.Dataset, out: Path, split: str, *, targets: bool, rows: np.ndarray | None = None) -> None:
    order = {} if rows is None else {split: rows}
    writer.extract(dataset, out, [split], targets=targets, order=order)
    writer.relabel(out, seed=WITHHELD)


def _baselines(dataset: store.Dataset, split: Split, rows: np.ndarray, max_length: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        scored = writer.extract(dataset, Path(folder) / "scored", ["train", split], order={split: rows})
        return {b.name: b.accuracy for b in diagnostics.baselines(scored, split, max_length)}


def _manifest(dataset: store.Dataset, profile: str) -> dict[str, Any]:
    """What anyone may know; the seed is not in it."""
    meta = dataset.meta
    told = {key: getattr(meta, key) for key in ("task", "label", "surrogate", "vocab", "classes")}
    return {
        "format": FORMAT,
        "profile": profile,
        **told,
        "counts": dict(meta.counts),
        "train_sha256": meta.sha256["train"],
    }
