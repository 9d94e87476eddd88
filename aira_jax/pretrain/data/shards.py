"""Windows in array_record files (extra `data`): written once, resumable shard by shard, read at random.

A folder holds
    tokenizer.json              as `tokenizers.save` writes it
    SIDE-00000.array_record     one record = the L + 1 tokens of a window, little endian
    SIDE-00000.json             the shard's facts, and where the stream stood behind it: written when the shard is whole
    manifest.json               written last; `settings.json` holds what it will say of the settings
"""

import dataclasses
import hashlib
import importlib
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aira_jax.core.files import differences, sha256, write_json
from aira_jax.pretrain.data import documents, tokenizers
from aira_jax.pretrain.data.documents import Side
from aira_jax.pretrain.data.settings import DataConfig
from aira_jax.pretrain.data.tokenizers import Tokenizer, framed
from aira_jax.pretrain.data.windows import cut

FORMAT = 1
MANIFEST = "manifest.json"


@dataclasses.dataclass(frozen=True)
class Shard:
    """A whole shard: windows and digest; `documents` of its side began before its end, `rest` is what it left over."""

    windows: int
    sha256: str
    documents: int
    tokens: int
    rest: list[int]


def write(data: DataConfig, folder: Path, *, length: int, windows_per_shard: int, on_shard=lambda name: None) -> dict:
    """Writes the shards of a corpus, or those that are missing, and returns the manifest.

    Raises ValueError where `folder` holds shards of other settings, or the corpus is too small for one window.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer(data, folder)
    settings = _settings(data, tokenizer, length, windows_per_shard)
    _same(folder, settings)
    manifest = dict(settings)
    for side in (Side.VALIDATION, Side.TRAIN):  # the short side first: if it is empty, little has been written
        shards = _write_side(data, folder, side, tokenizer, settings, on_shard)
        if not shards:
            raise ValueError(
                f"the {side} documents hold fewer than {length + 1} tokens: no window of length {length}; use a "
                f"smaller --length, or another --held_out_every than {data.held_out_every}, and another --out"
            )
        manifest[side.value] = _facts(shards)
    write_json(folder / MANIFEST, manifest)
    return manifest


def _tokenizer(data: DataConfig, folder: Path) -> Tokenizer:
    """That of the folder where there is one, since learning it again takes long."""
    path = folder / "tokenizer.json"
    if path.exists():
        found = tokenizers.load(path)
        if data.tokenizer.startswith(("bpe", "byte")) and found.name != data.tokenizer:
            raise ValueError(f"{folder} was begun with the tokenizer {found.name}, now it is {data.tokenizer}: {_MEND}")
        if data.tokenizer.startswith(("bpe", "byte")):
            return found
    made = tokenizers.make(data.tokenizer, documents.of_side(data, Side.TRAIN))
    if not path.exists():
        tokenizers.save(made, path)
    return made


_MEND = "name another folder with --out, or use the settings of before"


def _settings(data: DataConfig, tokenizer: Tokenizer, length: int, windows_per_shard: int) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "tokenizer": tokenizer.name,
        "tokenizer_sha256": tokenizer.digest,
        "vocab": tokenizer.vocab,
        "bos": tokenizer.begin,
        "eos": tokenizer.end,
        "dtype": "uint16" if tokenizer.vocab <= 2**16 else "uint32",
        "length": length,
        "windows_per_shard": windows_per_shard,
        "source": documents.identity(data),
        "field": data.field,
        "split": f"sha256(text) mod {data.held_out_every} == 0 is validation",
    }


def _same(folder: Path, settings: dict[str, Any]) -> None:
    path = folder / "settings.json"
    if not path.exists():
        write_json(path, settings)
        return
    changed = differences(json.loads(path.read_text(encoding="utf-8")), settings)
    if changed:
        lines = [f"    {key}: {old} before, {new} now" for key, (old, new) in changed.items()]
        raise ValueError("\n".join([f"{folder} holds shards of other settings:", *lines, _MEND]))


def _write_side(data, folder: Path, side: Side, tokenizer: Tokenizer, settings, on_shard) -> list[Shard]:
    """The shards of one side: those that are whole stay, the others are written."""
    shards: list[Shard] = []
    while (whole := _whole(folder, side, len(shards))) is not None:
        shards.append(whole)
    begun = shards[-1].documents if shards else 0
    rest = np.array(shards[-1].rest if shards else [], np.uint32)
    texts = itertools.islice(documents.of_side(data, side), begun, None)
    windows = _counted(texts, tokenizer, rest, begun, settings["length"])
    while rows := list(itertools.islice(windows, settings["windows_per_shard"])):
        name = f"{side}-{len(shards):05d}"
        records = [window.astype("<" + np.dtype(settings["dtype"]).str[1:]).tobytes() for window, _, _ in rows]
        path = folder / f"{name}.array_record"
        _write_records(path, records)
        _, left, seen = rows[-1]
        tokens = len(rows) * settings["length"]
        shards.append(Shard(len(rows), sha256(path), seen, tokens, left.tolist()))
        write_json(folder / f"{name}.json", dataclasses.asdict(shards[-1]), indent=None)
        on_shard(name)
    return shards


def _counted(texts: Iterable[str], tokenizer: Tokenizer, rest, begun: int, length: int):
    """(window, rest of the stream, documents read so far)."""
    seen = begun

    def pieces() -> Iterator[np.ndarray]:
        nonlocal seen
        yield rest
        for text in texts:
            seen += 1
            yield framed(tokenizer, text)

    for window, left in cut(pieces(), length):
        yield window, left, seen


def _whole(folder: Path, side: Side, number: int) -> Shard | None:
    """The shard if it was written whole; one whose file does not fit its facts is named, since something damaged it."""
    facts, path = folder / f"{side}-{number:05d}.json", folder / f"{side}-{number:05d}.array_record"
    if not facts.exists():
        return None
    shard = Shard(**json.loads(facts.read_text(encoding="utf-8")))
    if not path.exists() or sha256(path) != shard.sha256:
        raise ValueError(f"{path} is missing or damaged; remove {facts.name} and all later shards of {side}, run again")
    return shard


def _write_records(path: Path, records: Sequence[bytes]) -> None:
    temporary = path.with_name(f".{path.name}.part")
    writer = _array_record().ArrayRecordWriter(str(temporary), "group_size:1")
    try:
        for record in records:
            writer.write(record)
    finally:
        writer.close()
    os.replace(temporary, path)


def _facts(shards: Sequence[Shard]) -> dict[str, Any]:
    return {
        "shards": len(shards),
        "windows": [shard.windows for shard in shards],
        "sha256": [shard.sha256 for shard in shards],
        "documents": shards[-1].documents if shards else 0,
        "tokens": sum(shard.tokens for shard in shards),
    }


def _array_record():
    try:
        return importlib.import_module("array_record.python.array_record_module")
    except ImportError as error:
        raise ValueError("shards need a package: pip install 'aira-jax[data]'") from error


def _grain():
    try:
        return importlib.import_module("grain")
    except ImportError as error:
        raise ValueError("reading shards needs a package: pip install 'aira-jax[data]'") from error


@dataclasses.dataclass(frozen=True)
class Manifest:
    """A folder of shards that is whole."""

    folder: Path
    facts: dict[str, Any]

    @property
    def digest(self) -> str:
        """sha256 of the manifest."""
        return hashlib.sha256(json.dumps(self.facts, sort_keys=True).encode()).hexdigest()

    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the shards. Raises ValueError where it is not the one they were written with."""
        found = tokenizers.load(self.folder / "tokenizer.json")
        if found.digest != self.facts["tokenizer_sha256"]:
            raise ValueError(
                f"{self.folder}: tokenizer.json has the digest {found.digest[:12]}, the shards were written with "
                f"{self.facts['tokenizer_sha256'][:12]}"
            )
        return found

    def windows(self, side: Side) -> "ShardWindows":
        names = [str(self.folder / f"{side}-{i:05d}.array_record") for i in range(self.facts[side]["shards"])]
        absent = [name for name in names if not Path(name).exists()]
        if absent:
            raise ValueError(f"{absent[0]} is missing; scripts/corpus_shards.py writes it anew")
        records = _grain().MapDataset.source(_grain().sources.ArrayRecordDataSource(names)) if names else None
        count = len(records) if records else 0
        if count != sum(self.facts[side]["windows"]):
            raise ValueError(
                f"{self.folder}: {count} {side} records, the manifest says {sum(self.facts[side]['windows'])}"
            )
        return ShardWindows(
            records, names, tuple(self.facts[side]["windows"]), self.facts["dtype"], self.facts["length"]
        )


def read(folder: Path, *, length: int) -> Manifest:
    """The manifest of `folder`. Raises ValueError where it is absent, damaged, or of another length."""
    try:
        facts = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(
            f"{folder} holds no {MANIFEST}: no shards, or not all of them; write them with "
            "python scripts/corpus_shards.py"
        ) from error
    except ValueError as error:
        raise ValueError(f"{folder / MANIFEST}: not JSON ({error})") from error
    if facts.get("format") != FORMAT:
        raise ValueError(f"{folder / MANIFEST}: format {facts.get('format')}, this version reads {FORMAT}")
    if facts["length"] != length:
        raise ValueError(
            f"{folder} holds windows of length {facts['length']}, the training has {length}; write others with "
            f"python scripts/corpus_shards.py --length={length}"
        )
    return Manifest(folder, facts)


@dataclasses.dataclass(frozen=True)
class ShardWindows:
    """Windows of array_record files, read through grain."""

    records: Any
    names: list[str]
    counts: tuple[int, ...]
    dtype: str
    length: int

    def __len__(self) -> int:
        return sum(self.counts)

    def take(self, numbers: Sequence[int]) -> np.ndarray:
        return np.stack([self._window(int(number)) for number in numbers]).astype(np.uint32)

    def _window(self, number: int) -> np.ndarray:
        try:
            window = np.frombuffer(self.records[number], np.dtype(self.dtype).newbyteorder("<"))
        except Exception as error:
            raise ValueError(f"{self._where(number)} cannot be read ({error}); write the shard anew") from error
        if len(window) != self.length + 1:
            raise ValueError(f"{self._where(number)} holds {len(window)} tokens instead of {self.length + 1}")
        return window

    def _where(self, number: int) -> str:
        ends = np.cumsum(self.counts)
        shard = int(np.searchsorted(ends, number, side="right"))
        return f"{self.names[shard]}, record {number - int(ends[shard] - self.counts[shard])},"
