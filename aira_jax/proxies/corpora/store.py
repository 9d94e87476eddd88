"""Windows on disk: made once per corpus, tokenizer, preset and seed; the manifest lies beside them."""

import dataclasses
import io
import json
import logging
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from aira_jax.core.files import sha256, write_atomically, write_json
from aira_jax.proxies import cache, sources
from aira_jax.proxies.corpora import tokenizers, windows
from aira_jax.proxies.corpora.windows import Manifest, TextDataset

_LOG = logging.getLogger(__name__)
_MAKERS = ("aira_jax.proxies.corpora.documents", "aira_jax.proxies.corpora.windows")


@dataclasses.dataclass(frozen=True)
class Place:
    """Where the windows of one recipe are kept: KEY.npz, and KEY.json with all document ids."""

    stem: Path

    @classmethod
    def of(cls, cache_dir: Path, recipe: Mapping[str, Any]) -> "Place":
        return cls(cache_dir / "corpora" / cache.content_key({"sources": sources.of(*_MAKERS), **recipe})[:32])

    def read(self) -> TextDataset | None:
        """The windows, or None where there are none or damaged ones (which are then made again)."""
        path = self.stem.with_suffix(".npz")
        try:
            with np.load(path) as arrays:
                return from_arrays(arrays)
        except FileNotFoundError:
            return None
        except (zipfile.BadZipFile, EOFError, KeyError, ValueError) as error:
            _LOG.warning("%s is damaged (%s): its windows are made again", path, error)
            return None

    def write(self, data: TextDataset, manifest: Manifest) -> None:
        content = io.BytesIO()
        np.savez(content, **to_arrays(data))
        write_json(self.stem.with_suffix(".json"), dataclasses.asdict(manifest))
        write_atomically(self.stem.with_suffix(".npz"), content.getvalue())


def to_arrays(data: TextDataset) -> dict[str, np.ndarray]:
    """A data set as named arrays."""
    arrays = {f"train_{name}": array for name, array in windows.pack(data.train).items()}
    arrays |= {f"test_{name}": array for name, array in windows.pack(data.test).items()}
    if data.lengths is not None:
        arrays["lengths"] = data.lengths
    corpus = np.frombuffer(json.dumps(data.corpus).encode(), np.uint8)
    return arrays | {"vocab": np.array(data.vocab), "corpus": corpus}


def from_arrays(arrays: Mapping[str, np.ndarray]) -> TextDataset:
    """The inverse of `to_arrays`. Raises KeyError or ValueError if something is missing."""
    train, test = (windows.unpack(arrays[f"{split}_x"], arrays[f"{split}_last"]) for split in ("train", "test"))
    lengths = arrays.get("lengths")
    return TextDataset(train, test, int(arrays["vocab"]), lengths, json.loads(bytes(arrays["corpus"])))


def ranks_digest(ranks: Path | str | None) -> str | None:
    """Digest of the file with GPT-2's vocabulary, None without one."""
    return None if ranks is None else sha256(tokenizers.ranks_file(Path(ranks)))
