"""Every random draw of a search comes from here: use k of stream s of a run's seed, and no hidden state."""

import enum

import numpy as np


class Stream(enum.IntEnum):
    """What a draw is for; each purpose has a stream of its own, so that one never shifts another."""

    POLICY = 0  # k = node id
    PROMPT = 1  # k = node id
    CONTROL = 2  # k = 64 * node + 8 * role + attempt
    EVALUATION = 3


def generator(seed: int, stream: Stream, k: int) -> np.random.Generator:
    """The generator for use `k` of `stream`; equal arguments give equal draws on every machine."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(int(stream), k)))
