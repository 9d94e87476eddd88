"""From documents to windows of tokens: what a text proxy trains on and is scored on.

N windows, T tokens of a window, V vocabulary. The documents of a split, each closed by an end mark, form one stream,
cut every T tokens; the target of a token is the next one of the stream, that of the stream's very last is ignored.
The train windows are two such streams: those that validation fits, and those that it scores, of other documents.
"""

import dataclasses
import enum
import functools
import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aira_jax.proxies import mad, text_fidelity
from aira_jax.proxies.corpora import tokenizers
from aira_jax.proxies.corpora.documents import Collection, Document, split
from aira_jax.proxies.mad import IGNORED, Rows
from aira_jax.proxies.text_fidelity import TextPreset

LEARNED_FROM = 2_000_000  # bytes of train text from which a BPE is learned at most


class Short(enum.StrEnum):
    """What happens with a corpus that is too small for a preset: an error, or fewer windows (and the true counts)."""

    REFUSE = "refuse"
    ALLOW = "allow"


class CorpusTooSmall(ValueError):
    """A corpus holds fewer windows than a preset needs."""


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What windows were made from; part of every cache key. `documents` are the ids used, per split.

    `files`, `streams` and `tokenizer_digest` are sha256. `corpus` is the name of the file or folder, or `builtin`.
    """

    proxy: str
    corpus: str
    files: dict[str, str]
    tokenizer: str
    tokenizer_digest: str
    vocab: int
    length: int
    seed: int
    windows: dict[str, int]
    wanted: dict[str, int]
    documents: dict[str, list[str]]
    duplicates: int
    streams: dict[str, str]

    @property
    def is_short(self) -> bool:
        return self.windows != self.wanted

    def summary(self) -> dict[str, Any]:
        """The manifest with counts and one digest instead of all document ids: safe to show to anyone."""
        plain = dataclasses.asdict(self)
        ids = {name: "\n".join(ids) for name, ids in plain.pop("documents").items()}
        return plain | {
            "documents": {name: len(self.documents[name]) for name in ids},
            "documents_digest": {name: hashlib.sha256(text.encode()).hexdigest() for name, text in ids.items()},
            "short": self.is_short,
        }


@dataclasses.dataclass(frozen=True)
class TextDataset:
    """Both splits of a text proxy: rows of x uint16 or uint32 [N, T] and y = probe int32 [N, T].

    `lengths` int32 [V] are bytes of text per token, None where a corpus of tokens does not say. `corpus` is the
    manifest's summary.
    """

    train: Rows
    test: Rows
    vocab: int
    lengths: np.ndarray | None
    corpus: dict[str, Any]


def pack(rows: Rows) -> dict[str, np.ndarray]:
    """Windows without their redundancy: x [N, T] and the last target of each, int32 [N]."""
    return {"x": rows.x, "last": rows.y[:, -1]}


def unpack(x_NT: np.ndarray, last_N: np.ndarray) -> Rows:
    """The inverse of `pack`."""
    y_NT = np.concatenate([x_NT[:, 1:].astype(np.int32), last_N[:, None].astype(np.int32)], axis=1)
    return Rows(x_NT, y_NT, y_NT)


def bytes_per_target(y: np.ndarray, lengths: np.ndarray | None) -> float | None:
    """Mean bytes of text that a scored target stands for: nats / (ln 2 * this) are bits per byte."""
    return None if lengths is None else float(lengths[y[y != IGNORED]].mean())


def build(
    found: Collection, preset: TextPreset, tokenizer: str, *, ranks: Path | str | None, seed: int, short: Short
) -> tuple[TextDataset, Manifest]:
    """The windows of a preset. Raises CorpusTooSmall, or ValueError for a tokenizer that cannot be had."""
    train, test = split(found.documents, preset.test / (preset.train + preset.test))
    coder = _Coder.of(found, train, tokenizer, ranks)
    wanted = {"train": preset.train, "test": preset.test}
    fit, held, count = _fit_and_held(train, coder, preset.train, preset.length)
    tested = _stream(test, coder, preset.test * preset.length + 1)
    streams = {"train": (np.concatenate([fit[0], held[0]]), fit[1] + held[1]), "test": tested}
    available = {"train": count, "test": len(tested[0]) // preset.length}
    counts = {name: min(available[name], wanted[name]) for name in wanted}
    if counts != wanted and (short is Short.REFUSE or counts["train"] < 2 or counts["test"] < 1):
        raise CorpusTooSmall(_too_small(found, preset, coder, streams, available))
    made = [(fit[0], _fitted(count)), (held[0], count - _fitted(count)), (tested[0], counts["test"])]
    fit, held, tested = (_rows(stream, n, preset.length, coder.vocab) for stream, n in made)
    rows = {"train": mad.joined(fit, held), "test": tested}
    manifest = Manifest(
        proxy=preset.proxy,
        corpus=found.name,
        files=found.files,
        tokenizer=coder.name,
        tokenizer_digest=coder.digest,
        vocab=coder.vocab,
        length=preset.length,
        seed=seed,
        windows=counts,
        wanted=wanted,
        documents={name: ids for name, (_, ids) in streams.items()},
        duplicates=found.duplicates,
        streams={name: digest(split) for name, split in rows.items()},
    )
    return TextDataset(rows["train"], rows["test"], coder.vocab, coder.lengths, manifest.summary()), manifest


def digest(rows: Rows) -> str:
    """sha256 of the windows, whatever integer type holds them."""
    content = hashlib.sha256(repr(rows.x.shape).encode())
    for array in pack(rows).values():
        content.update(np.ascontiguousarray(array, "<i4").tobytes())
    return content.hexdigest()


@dataclasses.dataclass(frozen=True)
class _Coder:
    """Turns documents into token ids."""

    name: str
    digest: str
    vocab: int
    end: int
    lengths: np.ndarray | None
    encode: Callable[[Any], np.ndarray]

    @classmethod
    def of(cls, found: Collection, train: Sequence[Document], tokenizer: str, ranks) -> "_Coder":
        facts = found.facts
        if facts is not None:
            lengths = None if facts.lengths is None else np.array(facts.lengths, np.int32)
            return cls("tokens", facts.digest, facts.vocab, facts.end, lengths, lambda tokens: tokens)
        made = tokenizers.make(tokenizer, ranks=ranks, texts=_some(train))
        return cls(made.name, made.digest, made.vocab, made.end, made.lengths, made.encode)


def _some(documents: Iterable[Document]) -> Iterable[str]:
    read = 0
    for document in documents:
        if read >= LEARNED_FROM:
            return
        read += document.size
        yield document.content


def _stream(documents: Sequence[Document], coder: _Coder, enough: int) -> tuple[np.ndarray, list[str]]:
    """Tokens of the documents in order, as many documents as it takes to have `enough`, and the ids of these."""
    parts, ids, total = [np.zeros(0, np.uint32)], [], 0
    for document in documents:
        if total >= enough:
            break
        parts += [coder.encode(document.content), np.array([coder.end], np.uint32)]
        ids.append(document.id)
        total += len(parts[-2]) + 1
    return np.concatenate(parts), ids


def _fitted(count: int) -> int:
    """How many of `count` train windows are fitted when the others are for validation."""
    return len(mad.validation_indices(count)[0])


def _fit_and_held(documents: Sequence[Document], coder: _Coder, wanted: int, length: int):
    """(stream, ids) of the windows to fit and of those held out for validation, and how many there are together.

    No document has a part in both: what is left of one at the cut is dropped. Fewer than `wanted` where there are no
    more.
    """
    encoded = dataclasses.replace(coder, encode=functools.cache(lambda i: coder.encode(documents[i].content)))
    numbered = [dataclasses.replace(document, content=i) for i, document in enumerate(documents)]
    count = wanted
    while True:
        cut = _fitted(count)
        fit = _stream(numbered, encoded, cut * length)
        held = _stream(numbered[len(fit[1]) :], encoded, (count - cut) * length + 1)
        windows = [len(stream) // length for stream, _ in (fit, held)]
        if count < 2 or (windows[0] >= cut and windows[1] >= count - cut):
            return fit, held, count
        count = min(count - 1, sum(windows) + 1)


def _rows(stream: np.ndarray, count: int, length: int, vocab: int) -> Rows:
    used = count * length
    x_NT = stream[:used].reshape(count, length).astype(np.uint16 if vocab <= 2**16 else np.uint32)
    after = stream[used : used + 1].astype(np.int64) if len(stream) > used else [IGNORED]
    return unpack(x_NT, np.concatenate([x_NT[1:, 0], after]))


def _too_small(found: Collection, preset: TextPreset, coder: _Coder, streams, available) -> str:
    tokens = sum(len(stream) for stream, _ in streams.values())
    fit = [other.name for other in text_fidelity.PRESETS[preset.kind].values() if _fits(found, coder, tokens, other)]
    return (
        f"corpus {found.name} is too small for preset {preset.name} of {preset.kind}: "
        f"{available['train']:,} train and {available['test']:,} test windows of {preset.length} tokens found, "
        f"{preset.train:,} and {preset.test:,} needed.\n"
        f"    presets that fit: {', '.join(fit) or 'none'}; or give a larger corpus, "
        "or take what there is with --allow_short"
    )


def _fits(found: Collection, coder: _Coder, tokens: int, preset: TextPreset) -> bool:
    """Whether a preset finds enough windows: by size for byte tokens, else by this tokenizer's ratio."""
    total = sum(document.size for document in found.documents)
    same = found.facts is not None or preset.tokenizer == "byte"
    if not same and coder.name == "byte":
        return False  # needs more tokens than this preset, and a token is at least a byte
    ratio = 1.0 if same else tokens / total
    pools = split(found.documents, preset.test / (preset.train + preset.test))
    sizes = [ratio * sum(document.size for document in pool) for pool in pools]
    lost = ratio * max((document.size for document in pools[0]), default=0)  # at the cut between fitted and held out
    return sizes[0] - lost >= preset.train * preset.length and sizes[1] >= preset.test * preset.length
