"""Documents of a corpus: each once, in an order that a seed decides, and on one side of the split only."""

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from aira_jax.proxies.corpora import readers, stories
from aira_jax.proxies.corpora.readers import Pool

BUILTIN = "builtin"


@dataclasses.dataclass(frozen=True)
class Document:
    """A text, or token ids. `id` is the sha256 of its content, `size` its bytes or tokens, one end mark included."""

    id: str
    content: str | np.ndarray
    size: int
    pool: Pool

    @classmethod
    def of(cls, content: str | np.ndarray, pool: Pool) -> "Document":
        raw = content.encode() if isinstance(content, str) else np.ascontiguousarray(content, "<u4").tobytes()
        size = len(raw) if isinstance(content, str) else len(content)
        return cls(hashlib.sha256(raw).hexdigest(), content, size + 1, pool)


@dataclasses.dataclass(frozen=True)
class TokenFacts:
    """What a corpus of token ids says about them: vocabulary, end mark, bytes of text per token if known."""

    vocab: int
    end: int
    lengths: tuple[int, ...] | None
    digest: str


@dataclasses.dataclass(frozen=True)
class Collection:
    """All documents of a corpus. `name` and `files` (digests) say where they come from; `facts` only for token ids."""

    name: str
    files: dict[str, str]
    documents: tuple[Document, ...]
    duplicates: int
    facts: TokenFacts | None


def identity(path: Path | str | None, *, field: str, separator: str) -> dict[str, str]:
    """Digests of a corpus's files, or of the built-in corpus where `path` is None."""
    if path is None:
        content = "\0".join(stories.stories()).encode()
        return {BUILTIN: hashlib.sha256(content).hexdigest()}
    return readers.identity(readers.sources(path, field=field, separator=separator))


def collect(path: Path | str | None, *, field: str, separator: str, seed: int) -> Collection:
    """Every distinct document, ordered by sha256 of seed and id. Test documents win where both pools have one.

    `path` None: the built-in corpus. Raises ValueError for a corpus that cannot be read or is empty.
    """
    facts = None
    if path is None:
        name, found = BUILTIN, (Document.of(story, Pool.ANY) for story in stories.stories())
    else:
        name, sources = Path(path).name, readers.sources(path, field=field, separator=separator)
        facts = _facts(sources) if sources[0].holds_tokens else None
        found = (Document.of(content, source.pool) for source in sources for content in _contents(source))
    documents, duplicates = _distinct(found)
    if not documents:
        raise ValueError(f"corpus {path}: no document that is not empty")
    ordered = sorted(documents, key=lambda d: hashlib.sha256(f"{seed}:{d.id}".encode()).digest())
    files = identity(path, field=field, separator=separator)
    return Collection(name, files, tuple(ordered), duplicates, facts)


def _contents(source: readers.Source) -> Iterator[str | np.ndarray]:
    return readers.tokens(source).documents() if source.holds_tokens else readers.texts(source)


def _facts(sources: Sequence[readers.Source]) -> TokenFacts:
    files = [readers.tokens(source) for source in sources]
    facts = [TokenFacts(file.vocab, file.end, file.lengths, "") for file in files]
    if len(set(facts)) > 1:
        names = ", ".join(source.path.name for source in sources)
        raise ValueError(f"the sidecars of {names} disagree: tokens of one corpus need one vocabulary")
    return dataclasses.replace(facts[0], digest=files[0].digest)


def _distinct(found: Iterable[Document]) -> tuple[list[Document], int]:
    kept: dict[str, Document] = {}
    total = 0
    for document in found:
        total += 1
        old = kept.get(document.id)
        if old is None or (document.pool is Pool.TEST and old.pool is not Pool.TEST):
            kept[document.id] = document
    return list(kept.values()), total - len(kept)


def split(documents: Sequence[Document], test_share: float) -> tuple[list[Document], list[Document]]:
    """(train, test): the corpus's own split if it has one, else the first documents that hold `test_share` of all."""
    if any(document.pool is Pool.TEST for document in documents):
        train = [document for document in documents if document.pool is not Pool.TEST]
        return train, [document for document in documents if document.pool is Pool.TEST]
    ends = np.cumsum([document.size for document in documents])
    cut = int(np.searchsorted(ends, test_share * ends[-1])) + 1
    return list(documents[cut:]), list(documents[:cut])
