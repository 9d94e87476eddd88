"""Byte-pair encoding as in GPT-2: cutting text into pieces, merging the bytes of a piece, learning which merges to do.

A vocabulary is a mapping `ranks` from token bytes to token ids; among the neighbours of a piece the pair whose
concatenation has the lowest id merges first. Source: Sennrich et al. 2016; Radford et al. 2019 (bytes).
"""

import collections
import functools
import heapq
import itertools
import re
import sys
import unicodedata
from collections.abc import Iterable, Mapping

_SPACE = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"


def pieces(text: str) -> list[str]:
    """Cuts text as GPT-2 does: contractions, words, numbers and signs, each with one leading blank, and white space."""
    return _splitter().findall(text)


@functools.cache
def _splitter() -> re.Pattern:
    letter, number = _category("L"), _category("N")
    return re.compile(
        rf"'s|'t|'re|'ve|'m|'ll|'d| ?[{letter}]+| ?[{number}]+| ?[^{_SPACE}{letter}{number}]+"
        rf"|[{_SPACE}]+(?![^{_SPACE}])|[{_SPACE}]+"
    )


def _category(initial: str) -> str:
    """All characters of a Unicode category as ranges of a character class; Python's `re` has no name for them."""
    ranges: list[list[int]] = []
    for code in range(sys.maxunicode + 1):
        if unicodedata.category(chr(code))[0] == initial:
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    return "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in ranges)


def merge(piece: bytes, ranks: Mapping[bytes, int]) -> list[int]:
    """Token ids of one piece. Every single byte must be in `ranks`."""
    parts = [piece[i : i + 1] for i in range(len(piece))]
    while len(parts) > 1:
        found = [(ranks.get(a + b, sys.maxsize), i) for i, (a, b) in enumerate(itertools.pairwise(parts))]
        rank, at = min(found)
        if rank == sys.maxsize:
            break
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return [ranks[part] for part in parts]


def learn(texts: Iterable[str], size: int) -> dict[bytes, int]:
    """A vocabulary of at most `size` tokens: the 256 bytes, then the most frequent pair again and again.

    Pairs that are equally frequent merge in the order of their bytes; a pair that occurs once does not merge.
    """
    words = _Words(collections.Counter(piece for text in texts for piece in pieces(text)))
    ranks = {bytes([byte]): byte for byte in range(256)}
    while len(ranks) < size:
        pair = words.most_frequent()
        if pair is None:
            break
        ranks.setdefault(pair[0] + pair[1], len(ranks))
        words.merge(pair)
    return ranks


class _Words:
    """The distinct pieces of a text as lists of tokens, and how often each pair of neighbours occurs in them."""

    def __init__(self, counts: Mapping[str, int]):
        self.words = [[bytes([byte]) for byte in piece.encode()] for piece in counts]
        self.counts = list(counts.values())
        self.pairs: collections.Counter = collections.Counter()
        self.where: dict[tuple[bytes, bytes], set[int]] = collections.defaultdict(set)
        for i, word in enumerate(self.words):
            self._count(i, word, self.counts[i])
        self.heap = [(-n, pair) for pair, n in self.pairs.items()]
        heapq.heapify(self.heap)

    def _count(self, i: int, word: list[bytes], n: int) -> set[tuple[bytes, bytes]]:
        pairs = list(itertools.pairwise(word))
        for pair in pairs:
            self.pairs[pair] += n
            self.where[pair].add(i)
        return set(pairs)

    def most_frequent(self) -> tuple[bytes, bytes] | None:
        """The pair that occurs most often, at least twice; outdated entries of the heap are dropped on the way."""
        while self.heap:
            n, pair = self.heap[0]
            if self.pairs[pair] == -n:
                return pair if -n > 1 else None
            heapq.heappop(self.heap)
        return None

    def merge(self, pair: tuple[bytes, bytes]) -> None:
        changed = set()
        for i in sorted(self.where.pop(pair)):
            changed |= self._count(i, self.words[i], -self.counts[i])
            self.words[i] = _joined(self.words[i], pair)
            changed |= self._count(i, self.words[i], self.counts[i])
        del self.pairs[pair]
        for other in changed - {pair}:
            heapq.heappush(self.heap, (-self.pairs[other], other))


def _joined(word: list[bytes], pair: tuple[bytes, bytes]) -> list[bytes]:
    joined, i = [], 0
    while i < len(word):
        if tuple(word[i : i + 2]) == pair:
            joined.append(word[i] + word[i + 1])
            i += 2
        else:
            joined.append(word[i])
            i += 1
    return joined
