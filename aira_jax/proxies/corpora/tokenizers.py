"""From text to token ids: bytes, GPT-2's BPE from files that the user has, or a BPE learned from the corpus itself.

    make("byte")                       256 bytes and an end-of-text token
    make("gpt2", ranks="gpt2/")        50,257 tokens; a folder or file: merges.txt, vocab.bpe or *.tiktoken
    make("bpe:4096", texts=documents)  learned from `documents`

Nothing is ever downloaded.
"""

import base64
import binascii
import dataclasses
import functools
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from aira_jax.core import choices
from aira_jax.proxies.corpora import bpe, readers
from aira_jax.proxies.corpora.bpe import Splitter

RANKS_VARIABLE = "AIRA_JAX_GPT2"
_FILES = ("merges.txt", "vocab.bpe", "*.tiktoken")
_MIN_BPE, _MAX_BPE = 258, 2**16


@dataclasses.dataclass(frozen=True)
class Tokenizer:
    """`ranks` maps the bytes of a token to its id, 0, 1, 2, ...; the ids of the `specials` follow.

    One special closes a document. Of several, the first opens it and the second closes it.
    """

    name: str
    ranks: Mapping[bytes, int]
    splitter: Splitter = Splitter.GPT2
    specials: tuple[str, ...] = (readers.SEPARATOR,)

    def __post_init__(self):
        if sorted(self.ranks.values()) != list(range(len(self.ranks))):
            raise ValueError(f"tokenizer {self.name}: the ids of its {len(self.ranks)} tokens must be 0, 1, 2, ...")
        absent = [byte for byte in range(256) if bytes([byte]) not in self.ranks]
        if absent:
            raise ValueError(
                f"tokenizer {self.name}: {len(absent)} of the 256 bytes are no token, the first is {absent[0]}"
            )

    @property
    def vocab(self) -> int:
        return len(self.ranks) + len(self.specials)

    @property
    def begin(self) -> int:
        """The id that opens a document: the one that closes it where there is only one special."""
        return len(self.ranks)

    @property
    def end(self) -> int:
        """The id that closes a document."""
        return len(self.ranks) + min(1, len(self.specials) - 1)

    @functools.cached_property
    def digest(self) -> str:
        """sha256 of the tokens in the order of their ids, and of how text is cut and framed where it is not GPT-2's."""
        digest = hashlib.sha256()
        if (self.splitter, len(self.specials)) != (Splitter.GPT2, 1):
            digest.update(f"{self.splitter}:{self.specials}".encode())
        for token in self.tokens:
            digest.update(b"%d:%s" % (len(token), token))
        return digest.hexdigest()

    @functools.cached_property
    def lengths(self) -> np.ndarray:
        """Bytes of text per token id, int32 [vocab]; specials have none."""
        lengths = np.zeros(self.vocab, np.int32)
        for token, rank in self.ranks.items():
            lengths[rank] = len(token)
        return lengths

    def encode(self, text: str) -> np.ndarray:
        """Token ids of a document, uint32, without specials."""
        if len(self.ranks) == 256:
            return self._bytes[np.frombuffer(text.encode(), np.uint8)]
        return np.array([token for piece in bpe.pieces(text, self.splitter) for token in self._piece(piece)], np.uint32)

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of token ids, specials left out; bytes that are no UTF-8 become the replacement character."""
        return b"".join(self.tokens[token] for token in tokens if token < len(self.tokens)).decode(errors="replace")

    @functools.cached_property
    def tokens(self) -> list[bytes]:
        """The bytes of every token that is no special, by id."""
        return sorted(self.ranks, key=self.ranks.get)

    @functools.cached_property
    def _bytes(self) -> np.ndarray:
        return np.array([self.ranks[bytes([byte])] for byte in range(256)], np.uint32)

    @functools.cached_property
    def _piece(self) -> Callable[[str], list[int]]:
        return functools.lru_cache(2**18)(lambda piece: bpe.merge(piece.encode(), self.ranks))


def check(name: str) -> str:
    """`name` if it names a tokenizer; raises ValueError with the nearest match."""
    size = re.fullmatch(r"bpe:(\d+)", name)
    if size and not _MIN_BPE <= int(size[1]) <= _MAX_BPE:
        raise ValueError(f"tokenizer {name}: use a size from {_MIN_BPE} to {_MAX_BPE}, for example bpe:4096")
    if not size and name not in ("byte", "gpt2"):
        refusal = choices.unknown("tokenizer", name, ("byte", "gpt2", "bpe:4096"))
        raise ValueError(f"{refusal}, or bpe of another size")
    return name


def make(name: str, *, ranks: Path | str | None = None, texts: Iterable[str] = ()) -> Tokenizer:
    """The tokenizer `name`; `ranks` is needed for gpt2 only, `texts` are what bpe:<size> learns from.

    Raises ValueError for an unknown name, or for a vocabulary that is absent or damaged.
    """
    if check(name) == "byte":
        return Tokenizer(name, {bytes([byte]): byte for byte in range(256)})
    if name == "gpt2":
        return Tokenizer(name, read_ranks(ranks))
    return Tokenizer(name, bpe.learn(texts, int(name.partition(":")[2]) - 1))


def read_ranks(path: Path | str | None) -> dict[bytes, int]:
    """The vocabulary in a file or in the first known file of a folder. Raises ValueError that names it."""
    if path is None:
        raise ValueError(
            "tokenizer gpt2 needs its vocabulary, which is not part of this package: give the folder with "
            f"{', '.join(_FILES)} as --gpt2_ranks or in the environment variable {RANKS_VARIABLE}, "
            "or choose the tokenizer bpe:8192, which is learned from the corpus"
        )
    return read_rank_file(ranks_file(Path(path)))


def read_rank_file(file: Path) -> dict[bytes, int]:
    """The tokens in a file of ranks or of merges. Raises ValueError that names it."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
        ranks = _tiktoken(lines) if file.suffix in (".tiktoken", ".model") else _merges(lines)
    except (UnicodeDecodeError, binascii.Error, KeyError, ValueError) as error:
        raise ValueError(f"{file}: not a vocabulary of byte-pair merges ({error})") from error
    if len(ranks) < 257:
        raise ValueError(f"{file}: only {len(ranks)} tokens: the file is not complete")
    return ranks


def ranks_file(path: Path) -> Path:
    """The vocabulary file at, or in, `path`. Raises ValueError."""
    if path.is_file():
        return path
    found = [file for pattern in _FILES for file in sorted(path.glob(pattern))]
    if not found:
        raise ValueError(f"{path}: no such vocabulary; it must be, or hold, one of {', '.join(_FILES)}")
    return found[0]


def _tiktoken(lines: list[str]) -> dict[bytes, int]:
    """Lines of a token in base 64 and its id."""
    pairs = (line.split() for line in lines if line.strip())
    return {base64.b64decode(token, validate=True): int(rank) for token, rank in pairs}


def _merges(lines: list[str]) -> dict[bytes, int]:
    """Lines of two tokens that merge, in order; their bytes are written as printable characters."""
    alphabet = printable()
    ranks = {bytes([byte]): i for i, byte in enumerate(alphabet.values())}
    for line in lines:
        if not line.strip() or line.startswith("#version"):
            continue
        left, right = line.split(" ")
        ranks[bytes(alphabet[character] for character in left + right)] = len(ranks)
    return ranks


def printable() -> dict[str, int]:
    """GPT-2's characters for the 256 bytes, in the order of their token ids: printable ones stand for themselves."""
    own = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in own]
    return {chr(byte): byte for byte in own} | {chr(256 + i): byte for i, byte in enumerate(others)}
