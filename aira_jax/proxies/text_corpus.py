"""Which corpus a text task is prepared from: a path in the environment, a folder of raw data, or the built-in stories.

AIRA_JAX_BABISTORIES, AIRA_JAX_DCLM   file or folder of the corpus; else <raw>/babistories or <raw>/dclm; else built in
AIRA_JAX_GPT2                         GPT-2's vocabulary (merges.txt, vocab.bpe or *.tiktoken), for the tokenizer gpt2
AIRA_JAX_TOKENIZER                    another tokenizer than the profile's: byte, gpt2 or bpe:<size>
AIRA_JAX_ALLOW_SHORT                  1: a corpus that is too small for a profile is used as far as it goes
"""

import dataclasses
import functools
import hashlib
import os
from pathlib import Path

from aira_jax.core.files import sha256

VARIABLES = {"babistories": "AIRA_JAX_BABISTORIES", "dclm": "AIRA_JAX_DCLM"}
BUILTIN = "builtin"
RANKS, TOKENIZER, ALLOW_SHORT = "AIRA_JAX_GPT2", "AIRA_JAX_TOKENIZER", "AIRA_JAX_ALLOW_SHORT"


@dataclasses.dataclass(frozen=True)
class Choice:
    """A corpus and how to read it; `path` None stands for the built-in one."""

    path: Path | None
    ranks: Path | None
    tokenizer: str | None
    allow_short: bool

    @functools.cached_property
    def fingerprint(self) -> str:
        """Changes when the files or the way to read them change, wherever the files lie."""
        parts = [self.tokenizer or "", str(self.allow_short), *_digests(self.path), "vocabulary", *_digests(self.ranks)]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    @property
    def description(self) -> str:
        """Name and digest, for people and records."""
        return f"{BUILTIN if self.path is None else self.path.name} ({self.fingerprint[:16]})"


def choose(kind: str, raw: Path | None = None) -> Choice:
    """The corpus of a text proxy. Raises ValueError for a variable that names nothing or says neither 0 nor 1."""
    path = _path(VARIABLES[kind])
    if path is None and raw is not None and (raw / kind).exists():
        path = raw / kind
    short = os.environ.get(ALLOW_SHORT) or "0"
    if short not in ("0", "1"):
        raise ValueError(f"{ALLOW_SHORT}={short}: use 1 (yes) or 0 (no)")
    return Choice(path, _path(RANKS), os.environ.get(TOKENIZER) or None, short == "1")


def _path(variable: str) -> Path | None:
    text = os.environ.get(variable)
    if not text:
        return None
    path = Path(text).absolute()
    if not path.exists():
        raise ValueError(f"{variable}={text}: no such file or folder; correct the path or unset the variable")
    return path


def _digests(path: Path | None) -> list[str]:
    """Name and sha256 of every file."""
    if path is None:
        return []
    files = [path] if path.is_file() else sorted(file for file in path.iterdir() if file.is_file())
    return [f"{file.name} {sha256(file)}" for file in files]
