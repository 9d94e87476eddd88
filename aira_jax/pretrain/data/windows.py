"""One stream of tokens, cut into windows.

Window k of length L holds the stream's tokens k*L .. k*L + L, L + 1 of them, so that each token is a target once.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np

from aira_jax.pretrain.data.tokenizers import Tokenizer, framed


class Windows(Protocol):
    """Windows by number."""

    def __len__(self) -> int: ...

    def take(self, numbers: Sequence[int]) -> np.ndarray:
        """The windows of these numbers, uint32 [number, L + 1]."""


@dataclasses.dataclass(frozen=True)
class Stream:
    """Windows of a stream that lies in memory; `tokens` uint32."""

    tokens: np.ndarray
    length: int

    def __len__(self) -> int:
        return max(0, len(self.tokens) - 1) // self.length

    def take(self, numbers: Sequence[int]) -> np.ndarray:
        starts = np.asarray(numbers, np.int64)[:, None] * self.length
        return self.tokens[starts + np.arange(self.length + 1)]


@dataclasses.dataclass(frozen=True)
class RandomTokens:
    """Random tokens below `vocab`, the same for the same number; `first` keeps two sets apart."""

    vocab: int
    length: int
    count: int
    first: int = 0

    def __len__(self) -> int:
        return self.count

    def take(self, numbers: Sequence[int]) -> np.ndarray:
        draws = (np.random.default_rng(self.first + int(number)) for number in numbers)
        return np.stack([draw.integers(0, self.vocab, self.length + 1, np.uint32) for draw in draws])


def stream(tokenizer: Tokenizer, texts: Iterable[str]) -> np.ndarray:
    """The stream of framed documents, uint32."""
    documents = [framed(tokenizer, text) for text in texts]
    return np.concatenate(documents) if documents else np.zeros(0, np.uint32)


def cut(pieces: Iterable[np.ndarray], length: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Windows as their documents come, each with the rest of the stream that is not in a window yet."""
    rest = np.zeros(0, np.uint32)
    for piece in pieces:
        rest = np.concatenate([rest, piece])
        while len(rest) > length:
            window, rest = rest[: length + 1], rest[length:]
            yield window, rest
