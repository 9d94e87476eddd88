"""Real samples, where they are at hand, and small data sets."""

import os
from pathlib import Path

import pytest

from lra.data import retrieval, store, text


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of real reviews and papers; skips the test where it is absent."""
    shared = Path(os.environ.get("AIRA_JAX_SHARED", Path(__file__).parents[2].parent / "shared" / "data"))
    if not (shared / "lra" / "aan_pairs.tsv").is_file():
        pytest.skip(f"the real samples are not at {shared / 'lra'}; set AIRA_JAX_SHARED")
    return shared / "lra"


@pytest.fixture(scope="session")
def reviews(samples: Path) -> tuple[list[text.Review], list[text.Review]]:
    """The sampled reviews: train and test."""
    return text.read_jsonl(samples / "imdb_train_8k.jsonl.gz"), text.read_jsonl(samples / "imdb_test_4k.jsonl.gz")


@pytest.fixture(scope="session")
def text_samples(reviews, tmp_path_factory) -> store.Dataset:
    """The Text data set of the sampled reviews."""
    out = tmp_path_factory.mktemp("text") / "data"
    text.build(out, text.SAMPLES, *reviews, seed=0, command="make text", rebuild=False)
    return store.open(out)


@pytest.fixture(scope="session")
def surrogate(samples: Path, tmp_path_factory) -> store.Dataset:
    """The Retrieval data set of the sampled papers."""
    out = tmp_path_factory.mktemp("retrieval") / "data"
    retrieval.build_surrogate(out, samples, command="make retrieval", rebuild=False)
    return store.open(out)
