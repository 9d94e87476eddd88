"""Random words that are the same on every machine: raw Philox 4x64 output, addressed by (seed, tag, index).

Numpy guarantees the raw stream of a bit generator, not that of its distributions, so every draw of `lra.data` is
built from these words. Source: Salmon et al. 2011, Parallel random numbers: as easy as 1, 2, 3.
"""

import enum

import numpy as np

_WORDS_PER_COUNT = 4  # one Philox 4x64 step gives four words


class Tag(enum.IntEnum):
    """What a stream is for. The first three are the splits of generated tasks."""

    TRAIN = 0
    VALIDATION = 1
    TEST = 2
    ORDER = 100  # order of the training rows, index = epoch
    SUBSET = 101  # rows of the fixed validation subset, index = 0
    NAMES = 102  # of tokens (index 0) and classes (index 1) where they are secret


class Words:
    """The streams of one (seed, tag): `block(index, n, start)` is a pure function of its arguments.

    Errors: ValueError when the seed is not in [0, 2**64).
    """

    def __init__(self, seed: int, tag: int):
        if not 0 <= seed < 2**64:
            raise ValueError(f"seed {seed} is outside [0, 2**64): choose a non-negative integer")
        self._bits = np.random.Philox(key=np.array([seed, tag], np.uint64))
        self._state = self._bits.state
        self._counter = self._state["state"]["counter"]

    def block(self, index: int, n: int, start: int = 0) -> np.ndarray:
        """Words start ... start + n - 1 of stream `index`: uint64 [n]. `start` must be a multiple of 4."""
        count, rest = divmod(start, _WORDS_PER_COUNT)
        assert rest == 0, start
        self._counter[0], self._counter[3] = count, index
        self._bits.state = self._state
        return self._bits.random_raw(n)


def below(words: np.ndarray, n: int | np.ndarray) -> np.ndarray:
    """Integers in [0, n) from the upper halves of uint64 words, n <= 2**32: int64, the shape of `words`."""
    return (((words >> np.uint64(32)) * np.uint64(n)) >> np.uint64(32)).astype(np.int64)


def permutation(seed: int, tag: int, index: int, n: int) -> np.ndarray:
    """A permutation of 0 ... n-1, int64 [n]: the stable argsort of the first n words of the stream."""
    return np.argsort(Words(seed, tag).block(index, n), kind="stable")
