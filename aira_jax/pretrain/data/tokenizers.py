"""Tokenizers of pretraining: every document is framed as BOS, its tokens, EOS.

    byte              256 bytes
    bpe:4096          a byte-level BPE of that many tokens, learned from the training documents
    llama3:PATH       Llama 3's rank file (tokenizer.model, *.tiktoken), which its licence forbids to bundle
    hf:PATH           a tokenizer.json of the `tokenizers` library (extra `data`)

Nothing is downloaded, nothing is unpickled. V vocabulary.
"""

import base64
import dataclasses
import functools
import hashlib
import importlib
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from aira_jax.core import choices
from aira_jax.core.files import write_json
from aira_jax.proxies.corpora import bpe, tokenizers
from aira_jax.proxies.corpora.bpe import Splitter

BOS, EOS = "<|begin_of_text|>", "<|end_of_text|>"
LLAMA3_SPECIALS = (
    *(BOS, EOS, "<|reserved_special_token_0|>", "<|reserved_special_token_1|>", "<|finetune_right_pad_id|>"),
    *("<|reserved_special_token_2|>", "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>"),
    *("<|python_tag|>", *(f"<|reserved_special_token_{i}|>" for i in range(3, 248))),
)
_OPENING = (BOS, "<s>", "<bos>", "<|endoftext|>")
_CLOSING = (EOS, "</s>", "<eos>", "<|endoftext|>")
_MIN_BPE, _MAX_BPE = 260, 2**17


class Tokenizer(Protocol):
    """What pretraining needs of a tokenizer. `lengths` int32 [V]: bytes of text per token, 0 for specials."""

    name: str
    vocab: int
    begin: int
    end: int
    digest: str
    lengths: np.ndarray

    def encode(self, text: str) -> np.ndarray:
        """Token ids of a text, uint32, without specials."""

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of token ids; specials are left out."""


def make(name: str, texts: Iterable[str] = ()) -> Tokenizer:
    """The tokenizer `name`; bpe:N learns from `texts`. Raises ValueError for an unknown or damaged one."""
    kind, _, rest = name.partition(":")
    match kind:
        case "byte":
            return tokenizers.Tokenizer(name, bpe.learn((), 256), specials=(BOS, EOS))
        case "bpe":
            return tokenizers.Tokenizer(name, bpe.learn(sample(texts), _size(name, rest) - 2), specials=(BOS, EOS))
        case "llama3":
            return llama3(Path(rest))
        case "hf":
            return HuggingFace(Path(rest).read_text(encoding="utf-8") if Path(rest).is_file() else _absent(rest), name)
    raise ValueError(choices.unknown("tokenizer", name, ("byte", "bpe:4096", "llama3:PATH", "hf:PATH")))


def _size(name: str, size: str) -> int:
    if not re.fullmatch(r"\d+", size) or not _MIN_BPE <= int(size) <= _MAX_BPE:
        raise ValueError(f"tokenizer {name}: use a size from {_MIN_BPE} to {_MAX_BPE}, for example bpe:4096")
    return int(size)


def _absent(path: str):
    raise ValueError(f"tokenizer hf:{path}: no such file; name a tokenizer.json")


def llama3(path: Path) -> tokenizers.Tokenizer:
    """Llama 3's tokenizer from its rank file: 128,000 ranks and 256 specials; BOS 128000, EOS 128001."""
    if path.is_dir() or not path.exists():
        raise ValueError(f"tokenizer llama3:{path}: no such file; name the rank file (tokenizer.model) of your copy")
    if path.suffix == ".json":
        raise ValueError(f"tokenizer llama3:{path}: a tokenizer.json is read as hf:{path}")
    ranks = tokenizers.read_rank_file(path)
    if len(ranks) + len(LLAMA3_SPECIALS) != 128_256:
        raise ValueError(f"{path}: {len(ranks)} ranks, Llama 3 has 128,000")
    return tokenizers.Tokenizer("llama3", ranks, Splitter.LLAMA3, LLAMA3_SPECIALS)


@dataclasses.dataclass(frozen=True)
class HuggingFace:
    """A tokenizer of the `tokenizers` library; `content` is its JSON."""

    content: str
    name: str

    @functools.cached_property
    def _library(self) -> Any:
        try:
            library = importlib.import_module("tokenizers")
        except ImportError as error:
            raise ValueError(f"tokenizer {self.name} needs a package: pip install 'aira-jax[data]'") from error
        try:
            return library.Tokenizer.from_str(self.content)
        except Exception as error:
            raise ValueError(f"tokenizer {self.name}: not a tokenizer.json ({error})") from error

    @property
    def vocab(self) -> int:
        return self._library.get_vocab_size(with_added_tokens=True)

    @property
    def begin(self) -> int:
        return self._special(_OPENING)

    @property
    def end(self) -> int:
        return self._special(_CLOSING)

    def _special(self, names: tuple[str, ...]) -> int:
        for name in names:
            if (found := self._library.token_to_id(name)) is not None:
                return found
        raise ValueError(f"tokenizer {self.name}: none of {', '.join(names)} is one of its tokens")

    @functools.cached_property
    def digest(self) -> str:
        """sha256 of the JSON."""
        return hashlib.sha256(self.content.encode()).hexdigest()

    @functools.cached_property
    def lengths(self) -> np.ndarray:
        specials = {token["id"] for token in json.loads(self.content).get("added_tokens", []) if token["special"]}
        return np.array([0 if i in specials else self._length(i) for i in range(self.vocab)], np.int32)

    def _length(self, token: int) -> int:
        written = self._library.id_to_token(token)
        if written is None:  # an id between others that stands for nothing
            return 0
        if self._is_byte_level:
            return len(written) if set(written) <= tokenizers.printable().keys() else len(written.encode())
        byte = re.fullmatch(r"<0x[0-9A-F]{2}>", written)
        return 1 if byte else len(written.replace("▁", " ").encode())

    @functools.cached_property
    def _is_byte_level(self) -> bool:
        return '"ByteLevel"' in self.content

    def encode(self, text: str) -> np.ndarray:
        return np.array(self._library.encode(text, add_special_tokens=False).ids, np.uint32)

    def decode(self, tokens: Iterable[int]) -> str:
        return self._library.decode([int(token) for token in tokens], skip_special_tokens=True)


def framed(tokenizer: Tokenizer, text: str) -> np.ndarray:
    """A document as it stands in the stream: BOS, its tokens, EOS; uint32."""
    return np.concatenate([[tokenizer.begin], tokenizer.encode(text), [tokenizer.end]]).astype(np.uint32)


def sample(texts: Iterable[str], size: int = 4_000_000) -> Iterator[str]:
    """The first texts, until they hold `size` characters: enough to learn a vocabulary from."""
    for text in texts:
        yield text
        size -= len(text)
        if size <= 0:
            return


def save(tokenizer: Tokenizer, path: Path) -> None:
    """Writes a tokenizer to `path`, from which `load` makes an equal one."""
    match tokenizer:
        case HuggingFace():
            facts = {"kind": "hf", "name": tokenizer.name, "content": tokenizer.content}
        case tokenizers.Tokenizer():
            tokens = [base64.b64encode(token).decode() for token in tokenizer.tokens]
            facts = {"kind": "ranks", "name": tokenizer.name, "splitter": str(tokenizer.splitter)}
            facts |= {"specials": list(tokenizer.specials), "tokens": tokens}
    write_json(path, facts | {"digest": tokenizer.digest}, indent=None)


def load(path: Path) -> Tokenizer:
    """The tokenizer that `save` wrote. Raises ValueError for a damaged file."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if facts["kind"] == "hf":
            found: Tokenizer = HuggingFace(facts["content"], facts["name"])
        else:
            ranks = {base64.b64decode(token): i for i, token in enumerate(facts["tokens"])}
            specials = tuple(facts["specials"])
            found = tokenizers.Tokenizer(facts["name"], ranks, Splitter(facts["splitter"]), specials)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a tokenizer that this program wrote ({error})") from error
    if found.digest != facts["digest"]:
        raise ValueError(f"{path}: the file is damaged: its tokens do not have the digest that it names")
    return found
