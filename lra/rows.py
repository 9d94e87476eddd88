"""Which rows a run trains on and scores: the splits of a data set, and train joined with validation for Text."""

import dataclasses

import numpy as np

from lra.data import store
from lra.job import Job, ScoreParams, TrainOn


@dataclasses.dataclass(frozen=True)
class Rows:
    """`validation` and `test` are None where they are absent or their labels were withheld.

    `subset`: row numbers of the validation rows scored during training. `seen`: the model trains on them.
    """

    dataset: store.Dataset
    train: store.Split
    validation: store.Split | None
    test: store.Split | None
    subset: np.ndarray
    seen: bool


def select(dataset: store.Dataset, job: Job) -> Rows:
    """The rows of a job. Raises: ValueError when train has no labels, or validation is needed and has none."""
    train, validation, test = (_labelled(dataset, name) for name in store.SPLITS)
    if train is None:
        raise ValueError(f"{dataset.folder} has no train split with labels: nothing can be learnt from it")
    seen = job.train_on is TrainOn.FULL
    if validation is None and (seen or job.score_params is ScoreParams.BEST):
        needs = "train_on=full" if seen else "score_params=best_val"
        raise ValueError(f"{dataset.folder} has no labelled validation split, which {needs} needs")
    settings = job.settings
    subset = np.zeros(0, np.int64)
    if validation is not None:
        size = store.subset_size(len(validation), settings.eval_frequency, settings.batch_size)
        subset = validation.subset(settings.random_seed, size)
    return Rows(dataset, joined(train, validation) if seen else train, validation, test, subset, seen)


def _labelled(dataset: store.Dataset, name: str) -> store.Split | None:
    split = dataset.split(name) if name in dataset.splits else None
    return split if split is not None and split.targets_N is not None else None


def joined(first: store.Split, second: store.Split) -> store.Split:
    """The rows of `first`, then those of `second`, as one split held in memory; single documents only."""
    documents = store.Documents(
        tokens=np.concatenate([first.documents.tokens, second.documents.tokens]),
        offsets=np.concatenate([first.documents.offsets, second.documents.offsets[1:] + first.documents.offsets[-1]]),
        shift=first.documents.shift,
    )
    targets_N = np.concatenate([first.targets_N, second.targets_N])
    return store.Split(f"{first.name}+{second.name}", documents, None, targets_N)


def cut_share(split: store.Split, max_length: int) -> float:
    """The share of documents that are longer than `max_length` and lose their end."""
    return float(np.mean(np.diff(split.documents.offsets) > max_length))
