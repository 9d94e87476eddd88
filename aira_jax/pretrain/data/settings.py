"""Which corpus is read, and how."""

import dataclasses
import enum

from aira_jax.core import choices


class Kind(enum.StrEnum):
    """Where tokens come from.

    embedded   the stories that this package makes itself
    text       files that `readers` knows (.jsonl, .txt, .parquet, compressed or not), tokenized when training starts
    shards     a folder that scripts/corpus_shards.py wrote
    tfds       a prepared data set of TensorFlow Datasets in array_record format (extra `lra`)
    synthetic  random tokens, for benchmarks
    """

    EMBEDDED = "embedded"
    TEXT = "text"
    SHARDS = "shards"
    TFDS = "tfds"
    SYNTHETIC = "synthetic"


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """The corpus of a training.

    `path` is a file or folder; for tfds the name of the data set, with `root` the folder of prepared ones.
    `tokenizer` as in `tokenizers.make`; shards bring their own. `field` is the JSON field, column or feature of the
    text, `separator` stands between the documents of a .txt file.
    Documents whose sha256 is 0 modulo `held_out_every` are the validation documents.
    """

    kind: Kind = Kind.EMBEDDED
    path: str = ""
    root: str = ""
    tokenizer: str = "bpe:1024"
    field: str = "text"
    separator: str = "<|endoftext|>"
    held_out_every: int = 1000

    def __post_init__(self):
        object.__setattr__(self, "kind", choices.member(Kind, self.kind, "data.kind"))
        if self.held_out_every < 2:
            raise ValueError(
                f"data.held_out_every={self.held_out_every}: at least 2, so that documents are left to train"
            )
