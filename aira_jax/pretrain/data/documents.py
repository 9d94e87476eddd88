"""The texts of a corpus, and on which side of the split each one lies."""

import enum
import hashlib
import importlib
from collections.abc import Iterator

from aira_jax.pretrain.data.settings import DataConfig, Kind
from aira_jax.proxies.corpora import readers, stories


class Side(enum.StrEnum):
    """Documents are trained on or held out, whole."""

    TRAIN = "train"
    VALIDATION = "validation"


def side_of(text: str, every: int) -> Side:
    """Held out is one document in `every`, by the sha256 of its text: copies of a text lie on one side."""
    held_out = int.from_bytes(hashlib.sha256(text.encode()).digest()) % every == 0
    return Side.VALIDATION if held_out else Side.TRAIN


def texts(data: DataConfig) -> Iterator[str]:
    """All documents of a corpus of texts, in its own order. Raises ValueError for one that cannot be read."""
    match data.kind:
        case Kind.EMBEDDED:
            return stories.stories()
        case Kind.TEXT:
            sources = readers.sources(data.path, field=data.field, separator=data.separator)
            if sources[0].holds_tokens:
                raise ValueError(f"{data.path}: token files are no texts; name .jsonl, .txt or .parquet files")
            return (text for source in sources for text in readers.texts(source))
        case Kind.TFDS:
            return _tfds(data)
    raise ValueError(f"data.kind={data.kind} holds no texts")


def of_side(data: DataConfig, side: Side) -> Iterator[str]:
    """The documents of one side, in the corpus's order."""
    return (text for text in texts(data) if side_of(text, data.held_out_every) is side)


def identity(data: DataConfig) -> dict[str, str]:
    """Names and digests of what is read: equal for equal corpora."""
    match data.kind:
        case Kind.TEXT:
            return readers.identity(readers.sources(data.path, field=data.field, separator=data.separator))
        case Kind.EMBEDDED:
            return {"embedded": hashlib.sha256("\0".join(stories.stories()).encode()).hexdigest()}
    return {data.kind.value: f"{data.path}:{data.field}"}


def _tfds(data: DataConfig) -> Iterator[str]:
    try:
        tfds = importlib.import_module("tensorflow_datasets")
    except ImportError as error:
        raise ValueError("data.kind=tfds needs a package: pip install 'aira-jax[lra]'") from error
    try:
        source = tfds.data_source(data.path, split="train", data_dir=data.root or None, download=False)
    except Exception as error:
        raise ValueError(
            f"data set {data.path}: {error}; prepare it first with "
            f"tfds.builder({data.path!r}, file_format='array_record').download_and_prepare()"
        ) from error
    for example in source:
        text = example[data.field]
        yield text.decode() if isinstance(text, bytes) else str(text)
