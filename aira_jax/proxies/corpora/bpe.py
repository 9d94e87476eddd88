"""Byte-pair encoding as in GPT-2: cutting text into pieces, merging the bytes of a piece, learning which merges to do.

A vocabulary is a mapping `ranks` from token bytes to token ids; among the neighbours of a piece the pair whose
concatenation has the lowest id merges first. Source: Sennrich et al. 2016; Radford et al. 2019 (bytes).
"""

import collections
import enum
import functools
import heapq
import itertools
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import Any

_SPACE = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"


class Splitter(enum.StrEnum):
    """How text is cut before bytes merge; merges never cross a cut.

    gpt2     contractions, words, numbers and signs, each with one leading blank, and white space
    gpt4     contractions in any case, words with one leading sign, at most 2 digits, line ends close a piece
    llama3   as gpt4, with at most 3 digits, and several line ends in one piece
    """

    GPT2 = "gpt2"
    GPT4 = "gpt4"
    LLAMA3 = "llama3"


class Ties(enum.StrEnum):
    """Which of equally frequent pairs merges first: the smaller bytes, or the smaller token ids."""

    BYTES = "bytes"
    IDS = "ids"


def pieces(text: str, splitter: Splitter = Splitter.GPT2) -> list[str]:
    """The pieces of a text, in order; together they are the text."""
    return _pattern(splitter).findall(text)


@functools.cache
def _pattern(splitter: Splitter) -> re.Pattern:
    letter, number, space = _category("L"), _category("N"), _SPACE
    blanks = rf"[{space}]+(?![^{space}])|[{space}]+"
    if splitter is Splitter.GPT2:
        signs = rf" ?[^{space}{letter}{number}]+"
        return re.compile(rf"'s|'t|'re|'ve|'m|'ll|'d| ?[{letter}]+| ?[{number}]+|{signs}|{blanks}")
    digits, lines = {Splitter.GPT4: ("{1,2}", ""), Splitter.LLAMA3: ("{1,3}", "+")}[splitter]
    return re.compile(
        rf"'(?i:s|t|re|ve|m|ll|d)|[^\r\n{letter}{number}]?[{letter}]+|[{number}]{digits}"
        rf"| ?[^{space}{letter}{number}]+[\r\n]*|[{space}]*[\r\n]{lines}|{blanks}"
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


def learn(
    texts: Iterable[str],
    size: int,
    *,
    splitter: Splitter = Splitter.GPT2,
    ties: Ties = Ties.BYTES,
    least: int = 2,
) -> dict[bytes, int]:
    """A vocabulary of at most `size` tokens: the 256 bytes, then the most frequent pair again and again.

    `ties` orders pairs that are equally frequent; a pair that occurs fewer than `least` times does not merge.
    """
    ranks = {bytes([byte]): byte for byte in range(256)}
    order = {Ties.BYTES: lambda pair: pair, Ties.IDS: lambda pair: (ranks[pair[0]], ranks[pair[1]])}[ties]
    words = _Words(collections.Counter(piece for text in texts for piece in pieces(text, splitter)), order)
    while len(ranks) < size:
        pair = words.most_frequent(least)
        if pair is None:
            break
        ranks.setdefault(pair[0] + pair[1], len(ranks))
        words.merge(pair)
    return ranks


class _Words:
    """The distinct pieces of a text as lists of tokens, and how often each pair of neighbours occurs in them."""

    def __init__(self, counts: Mapping[str, int], order: Callable[[tuple[bytes, bytes]], Any]):
        self.order = order
        self.words = [[bytes([byte]) for byte in piece.encode()] for piece in counts]
        self.counts = list(counts.values())
        self.pairs: collections.Counter = collections.Counter()
        self.where: dict[tuple[bytes, bytes], set[int]] = collections.defaultdict(set)
        for i, word in enumerate(self.words):
            self._count(i, word, self.counts[i])
        self.heap = [(-n, order(pair), pair) for pair, n in self.pairs.items()]
        heapq.heapify(self.heap)

    def _count(self, i: int, word: list[bytes], n: int) -> set[tuple[bytes, bytes]]:
        pairs = list(itertools.pairwise(word))
        for pair in pairs:
            self.pairs[pair] += n
            self.where[pair].add(i)
        return set(pairs)

    def most_frequent(self, least: int) -> tuple[bytes, bytes] | None:
        """The pair that occurs most often, at least `least` times; outdated entries of the heap are dropped."""
        while self.heap:
            n, _, pair = self.heap[0]
            if self.pairs[pair] == -n:
                return pair if -n >= least else None
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
            heapq.heappush(self.heap, (-self.pairs[other], self.order(other), other))


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
