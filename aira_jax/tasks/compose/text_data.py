"""Windows of text as a task sees them: train windows for the agent, all others in folders of their own.

    train/                   70 % of the train windows; manifest.json
    validation/, test/       manifest.json with the number of windows: their tokens are their own labels
                             (validation/ has its windows where the agent measures itself)
    validation_with_labels/  the other 30 %; documents.json; manifest.json with the seed: evaluator only
    test_with_labels/        the same, and the test windows: evaluator only

Where a task has several data sets, `part` names the folder of this one in each of these.

Windows are arrays x [windows, tokens] and last [windows]: a token's target is the next token of its window, that of the
last one is `last`.
"""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from aira_jax.core.files import write_json
from aira_jax.proxies import corpora, mad, text_fidelity
from aira_jax.proxies.corpora import documents, readers, windows
from aira_jax.proxies.corpora.windows import Manifest, Short, TextDataset
from aira_jax.proxies.mad import Rows
from aira_jax.proxies.text_corpus import Choice
from aira_jax.tasks import manifests
from aira_jax.tasks.compose.proxies import Data
from aira_jax.tasks.evaluation import EvaluatorError, Split
from aira_jax.tasks.manifests import LABELS, MANIFEST, load_arrays, save_arrays

FORMAT = 1
WINDOWS, DOCUMENTS = "windows.npz", "documents.json"


def make(kind: str, profile: str, seed: int, choice: Choice) -> tuple[TextDataset, Manifest]:
    """All windows of a profile. Raises ValueError, for example for a corpus that is too small."""
    preset = text_fidelity.get(kind, profile)
    found = documents.collect(choice.path, field="text", separator=readers.SEPARATOR, seed=seed)
    short = Short.ALLOW if choice.allow_short else Short.REFUSE
    tokenizer = corpora.tokenizers.check(choice.tokenizer or preset.tokenizer)
    return windows.build(found, preset, tokenizer, ranks=choice.ranks, seed=seed, short=short)


def write_agent(
    mount: Path, kind: str, *, profile: str, seed: int, choice: Choice, self_reported: bool, part: str = ""
) -> None:
    """Writes train/, validation/ and test/ into `mount`; validation windows only if the agent measures itself."""
    data, _ = make(kind, profile, seed, choice)
    fit, held = (data.train[rows] for rows in mad.validation_indices(len(data.train)))
    manifest = _manifest(profile, data)
    save_arrays(mount / "train" / part / WINDOWS, windows.pack(fit) | _lengths(data))
    write_json(mount / "train" / part / MANIFEST, manifest)
    for name, rows in (("validation", held), ("test", data.test)):
        write_json(mount / name / part / MANIFEST, {"windows": len(rows), "length": rows.x.shape[1]})
    if self_reported:
        save_arrays(mount / "validation" / part / WINDOWS, windows.pack(held))


def write_labels(
    mount: Path, kind: str, *, profile: str, seed: int, choice: Choice, split: Split, part: str = ""
) -> None:
    """Writes the validation windows into `mount`, for the test split the test windows as well."""
    data, manifest = make(kind, profile, seed, choice)
    held = data.train[mad.validation_indices(len(data.train))[1]]
    folder = mount / LABELS[split] / part
    labels = _named("validation", held) | (_named("test", data.test) if split is Split.TEST else {})
    save_arrays(folder / WINDOWS, labels)
    write_json(folder / MANIFEST, {**_manifest(profile, data), "seed": seed})
    write_json(folder / DOCUMENTS, dataclasses.asdict(manifest))


def read(data_dir: Path, *, profile: str, split: Split, part: str = "") -> Data:
    """The data of one evaluation: all train windows, and the test windows where `split` is TEST (else none).

    Raises EvaluatorError if something is missing, was made for another profile or does not belong together.
    """
    manifest, seed = manifests.read_pair(data_dir, profile=profile, split=split, format=FORMAT, part=part)
    folder = data_dir / LABELS[split] / part
    labels = load_arrays(folder / WINDOWS)
    held, test = (_rows(labels, f"{name}_") for name in ("validation", "test"))
    corpus = {**manifest["corpus"], "seed": seed}
    return Data({corpus["proxy"]: _dataset(data_dir / "train" / part, corpus, held, test)}, seed)


def read_self_reported(data_dir: Path, part: str = "") -> tuple[Data, str]:
    """The agent's own view, and its profile: train windows and validation windows, no test windows.

    Raises EvaluatorError if the validation windows are not here.
    """
    manifest = manifests.read(data_dir / "train" / part, format=FORMAT)
    validation = data_dir / "validation" / part
    if not (validation / WINDOWS).exists():
        raise manifests.withheld(validation, "windows")
    corpus = manifest["corpus"]
    data = _dataset(data_dir / "train" / part, corpus, _rows(load_arrays(validation / WINDOWS)), None)
    return Data({corpus["proxy"]: data}, int(corpus["streams"]["train"][:15], 16)), manifest["profile"]


def kind(data_dir: Path) -> str:
    """The proxy that the prepared windows are of. Raises EvaluatorError if there are none."""
    return manifests.read(data_dir / "train", format=FORMAT)["corpus"]["proxy"]


def _dataset(train_dir: Path, corpus: dict[str, Any], held: Rows | None, test: Rows | None) -> TextDataset:
    arrays = load_arrays(train_dir / WINDOWS)
    fit = _rows(arrays)
    if fit is None or held is None:
        raise EvaluatorError(f"{train_dir}: windows are missing: prepare the data (prepare.py, evaluate_prepare.py)")
    train = mad.joined(fit, held)
    expected = corpus["streams"]
    if windows.digest(train) != expected["train"] or (test is not None and windows.digest(test) != expected["test"]):
        raise EvaluatorError(f"the windows of {train_dir} are not those of their manifest: prepare the data again")
    return TextDataset(train, train[:0] if test is None else test, corpus["vocab"], arrays.get("lengths"), corpus)


def _manifest(profile: str, data: TextDataset) -> dict[str, Any]:
    """What anyone may know; the seed is not in it."""
    corpus = {key: value for key, value in data.corpus.items() if key != "seed"}
    return {"format": FORMAT, "profile": profile, "corpus": corpus}


def _lengths(data: TextDataset) -> dict[str, np.ndarray]:
    return {} if data.lengths is None else {"lengths": data.lengths}


def _named(split: str, rows: Rows) -> dict[str, np.ndarray]:
    return {f"{split}_{name}": array for name, array in windows.pack(rows).items()}


def _rows(arrays: dict[str, np.ndarray], prefix: str = "") -> Rows | None:
    if f"{prefix}x" not in arrays:
        return None
    return windows.unpack(arrays[f"{prefix}x"], arrays[f"{prefix}last"])
