"""Which raw data the Long Range Arena tasks and the needle task are made from. Imports no array library.

AIRA_JAX_LRA names a folder, else <raw>/lra is looked at. What counts in it, the first that is there:

    imdb    text/meta.json (a data set of scripts/lra_data.py); aclImdb/; imdb_train*.jsonl[.gz] + imdb_test*.jsonl[.gz]
    aan     retrieval/meta.json; new_aan_pairs.{train,eval,test}.tsv; aan_docs.jsonl[.gz] + aan_pairs.tsv
    prose   needle.txt[.gz]; the reviews of imdb_train*.jsonl[.gz]

Without any, the smoke profile takes generated stand-ins, which say so wherever they are named; others are refused.
"""

import dataclasses
import functools
import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aira_jax.core.files import sha256

VARIABLE = "AIRA_JAX_LRA"
BUILTIN = "builtin"
STAND_IN_PROFILES = ("smoke",)
TASKS = {"imdb": "text", "aan": "retrieval", "prose": "needle"}
_SECRET = ("aclImdb", "imdb_*", "aan_*", "new_aan_pairs.*", "needle.txt*", *TASKS.values())
_COMMANDS = {
    "imdb": "python scripts/lra_data.py --task=text --aclimdb=FOLDER --out=DIR/text",
    "aan": "python scripts/lra_data.py --task=retrieval --aan=FOLDER --out=DIR/retrieval",
    "prose": "cp TEXT DIR/needle.txt",
}


@dataclasses.dataclass(frozen=True)
class Choice:
    """Raw data of one kind. `files` are what is read; `flags` are those of scripts/lra_data.py that read them.

    No files: generated stand-ins. `store`: files[0] is a prepared data set. `folder` is where they were found.
    """

    kind: str
    files: tuple[Path, ...] = ()
    flags: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    store: bool = False
    folder: Path | None = None

    @property
    def secret(self) -> tuple[Path, ...]:
        """What tells labels: all kinds in the folder, for a kind that was passed over holds the same rows."""
        return tuple(sorted(path for pattern in _SECRET for path in self.folder.glob(pattern))) if self.folder else ()

    @functools.cached_property
    def fingerprint(self) -> str:
        """Changes when the files change, wherever they lie."""
        return hashlib.sha256("\0".join((self.kind, *map(_identity, self.files))).encode()).hexdigest()

    @property
    def description(self) -> str:
        """Name and digest, for people and records."""
        names = ", ".join(path.name for path in self.files) or f"{BUILTIN} (generated, not {self.kind})"
        return f"{names} ({self.fingerprint[:16]})"

    def require(self, profile: str) -> None:
        """Raises ValueError where `profile` needs real data and there are none."""
        if self.files or profile in STAND_IN_PROFILES:
            return
        raise ValueError(
            f"profile {profile} needs the real data ({self.kind}) and {VARIABLE} names none. Make them with\n"
            f"    {_COMMANDS[self.kind]}\nand set {VARIABLE}=DIR, or use --profile={STAND_IN_PROFILES[0]}"
        )


def choose(kind: str, raw: Path | None = None) -> Choice:
    """The raw data of a kind (imdb, aan, prose). Raises ValueError where AIRA_JAX_LRA names no folder."""
    named = os.environ.get(VARIABLE)
    if named and not Path(named).is_dir():
        raise ValueError(f"{VARIABLE}={named}: no such folder; correct the path or unset the variable")
    if not named and raw is None:
        return Choice(kind)
    folder = Path(named).absolute() if named else Path(raw).absolute() / "lra"
    found = _READERS[kind](folder) if folder.is_dir() else None
    return dataclasses.replace(found or Choice(kind), folder=folder)


def _imdb(folder: Path) -> Choice | None:
    if (folder / "aclImdb" / "train").is_dir():
        return Choice("imdb", (folder / "aclImdb",), {"aclimdb": str(folder / "aclImdb")})
    files = [_first(folder, f"imdb_{split}*.jsonl*") for split in ("train", "test")]
    if None in files:
        return None
    return Choice("imdb", tuple(files), {"jsonl": tuple(map(str, files))})


def _aan(folder: Path) -> Choice | None:
    published = [folder / f"new_aan_pairs.{split}.tsv" for split in ("train", "eval", "test")]
    if all(path.is_file() for path in published):
        return Choice("aan", tuple(published), {"aan": str(folder)})
    documents, pairs = _first(folder, "aan_docs.jsonl*"), folder / "aan_pairs.tsv"
    if documents is None or not pairs.is_file():
        return None
    return Choice("aan", (documents, pairs), {"surrogate": str(folder)})


def _prose(folder: Path) -> Choice | None:
    text = _first(folder, "needle.txt*") or _first(folder, "imdb_train*.jsonl*")
    return None if text is None else Choice("prose", (text,), {"text": str(text)})


def _prepared_or(kind: str, read: Callable[[Path], Choice | None], folder: Path) -> Choice | None:
    store = folder / TASKS[kind]
    return Choice(kind, (store,), store=True) if (store / "meta.json").is_file() else read(folder)


_READERS = {
    "imdb": functools.partial(_prepared_or, "imdb", _imdb),
    "aan": functools.partial(_prepared_or, "aan", _aan),
    "prose": _prose,
}


def _first(folder: Path, pattern: str) -> Path | None:
    return min((path for path in folder.glob(pattern) if path.is_file()), default=None)


def _identity(path: Path) -> str:
    """Of a file its content, of a prepared data set its hashes, of another folder the names and sizes below it."""
    if path.is_file() or (path / "meta.json").is_file():
        return f"{path.name} {sha256(path if path.is_file() else path / 'meta.json')}"
    listing = sorted(f"{p.relative_to(path)} {p.stat().st_size}" for p in path.rglob("*") if p.is_file())
    return f"{path.name} {hashlib.sha256(chr(10).join(listing).encode()).hexdigest()}"
