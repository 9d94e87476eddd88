"""How the rows of each MAD task are drawn; the order of the draws is part of the definition. Data sets: mad.py."""

import functools
import itertools
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

IGNORED = -100  # a target that is neither trained on nor scored

Draw = Callable[[np.random.Generator, bool], tuple[list[int], list[int]]]
"""Draws one row (generator, whether it is a train row) as full tokens and masked targets of equal length."""


def _in_context_recall(seed: int, *, vocab: int = 16, seq_len: int = 128) -> Draw:
    """Pairs (key, value); the targets are the values of keys that were shown before."""
    return _recall(vocab, seq_len, noise_vocab=0, frac_noise=0.0)


def _noisy_recall(
    seed: int, *, vocab: int = 32, seq_len: int = 128, noise_vocab: int = 16, frac_noise: float = 0.2
) -> Draw:
    """In-context recall where a fraction of the pairs is replaced by two noise tokens."""
    require(0 <= frac_noise < 1, f"frac_noise must be in [0, 1), got {frac_noise}")
    require(frac_noise == 0 or noise_vocab >= 1, f"noise_vocab must be at least 1, got {noise_vocab}")
    return _recall(vocab, seq_len, noise_vocab, frac_noise)


def _recall(vocab: int, seq_len: int, noise_vocab: int, frac_noise: float) -> Draw:
    symbols = vocab - noise_vocab
    require(symbols >= 2, f"vocab must exceed noise_vocab by at least 2, got {vocab} and {noise_vocab}")
    require(seq_len >= 4 and seq_len % 2 == 0, f"seq_len must be even and at least 4, got {seq_len}")
    n_keys, n_pairs = symbols // 2, seq_len // 2
    noise = np.arange(symbols, vocab)

    def draw(g: np.random.Generator, train: bool) -> tuple[list[int], list[int]]:
        x, y, values = [], [], {}
        kept = g.integers(n_pairs)  # this pair is never noise; drawn even without noise
        for i in range(n_pairs - 1):
            if frac_noise > 0 and i != kept and g.random() < frac_noise:
                x += g.choice(noise, size=2).tolist()
                y += [IGNORED, IGNORED]
                continue
            key = int(g.integers(n_keys))
            seen = key in values
            if not seen:
                values[key] = n_keys + int(g.integers(symbols - n_keys))
            x += [key, values[key]]
            y += [IGNORED, values[key] if seen else IGNORED]
        require(bool(values), "a row of noise only was drawn: lower frac_noise, raise seq_len or use another seed")
        key = list(values)[g.integers(len(values))]
        return [*x, key, values[key]], [*y, IGNORED, values[key]]

    return draw


def _fuzzy_recall(seed: int, *, vocab: int = 16, seq_len: int = 128, key_size: int = 3, value_size: int = 3) -> Draw:
    """In-context recall whose keys and values are motifs of 1 to `key_size` and `value_size` distinct tokens.

    Test rows have keys of full size only. In about 3 % of the test rows the last key was never shown, which bounds
    the accuracy near 0.987.
    """
    pad = vocab - 1
    n_keys = pad // 2
    require(1 <= key_size <= n_keys, f"key_size must be 1 to {n_keys} for vocab {vocab}, got {key_size}")
    require(1 <= value_size <= pad - n_keys, f"value_size must be 1 to {pad - n_keys}, got {value_size}")
    shortest = 2 * (key_size + value_size) + 1
    require(seq_len >= shortest, f"seq_len must be at least {shortest} for these motif sizes, got {seq_len}")
    motifs = functools.cache(lambda start, stop, size: list(itertools.permutations(range(start, stop), size)))

    def shuffled(g: np.random.Generator, start: int, stop: int, size: int) -> Callable[[], tuple[int, ...]]:
        """A picker from the freshly shuffled motifs; shuffling indices draws what shuffling the list would."""
        order = np.arange(len(motifs(start, stop, size)))
        g.shuffle(order)
        return lambda: motifs(start, stop, size)[order[g.integers(len(order))]]

    def draw(g: np.random.Generator, train: bool) -> tuple[list[int], list[int]]:
        key_sizes = range(1, key_size + 1) if train else [key_size]
        keys = {size: shuffled(g, 0, n_keys, size) for size in key_sizes}
        values = {size: shuffled(g, n_keys, pad, size) for size in range(1, value_size + 1)}

        def sizes() -> tuple[int, int]:
            a = 1 + int(g.integers(key_size)) if train else key_size
            return a, 1 + int(g.integers(value_size))

        a, b = sizes()
        last_key, last_value, length = keys[a](), values[b](), a + b
        at = g.integers(seq_len - 2 * length)
        x, y, paired, shown, added = [], [], {}, set(), False
        while len(x) < seq_len - length - (key_size + value_size):
            a, b = sizes()
            if len(x) >= at and not added:
                key, value, targets = last_key, last_value, [IGNORED] * len(last_value)
                paired[key], added = value, True
            else:
                key = keys[a]()
                if key == last_key:
                    value, added = last_value, True
                else:
                    if key not in paired:
                        paired[key] = values[b]()
                    value = paired[key]
                targets = value if key in shown else [IGNORED] * len(value)
            x += [*key, *value]
            y += [IGNORED] * len(key) + [*targets]
            shown.add(key)
        x += [*last_key, *last_value]
        y += [IGNORED] * len(last_key) + [*last_value]
        padding = seq_len + 1 - len(x)
        return [pad] * padding + x, [IGNORED] * padding + y

    return draw


def _memorization(seed: int, *, vocab: int = 256, seq_len: int = 32) -> Draw:
    """Keys followed by a marker; the target at the marker is the key's value, fixed for the whole data set."""
    require(vocab >= 3, f"vocab must be at least 3, got {vocab}")
    require(seq_len >= 2 and seq_len % 2 == 0, f"seq_len must be even and at least 2, got {seq_len}")
    marker = vocab - 1
    fixed = np.random.default_rng(seed)
    keys, values = list(range(marker // 2)), list(range(marker // 2, marker))
    fixed.shuffle(keys)
    fixed.shuffle(values)

    def draw(g: np.random.Generator, train: bool) -> tuple[list[int], list[int]]:
        x, y = [], []
        g.integers(seq_len // 2)  # drawn and not used
        for _ in range(seq_len // 2):
            k = g.integers(len(keys))
            x += [keys[k], marker]
            y += [IGNORED, values[k]]
        return x, y

    return draw


def _compression(seed: int, *, vocab: int = 16, seq_len: int = 32) -> Draw:
    """Random tokens and an end marker; every token is to be reproduced from the last position."""
    require(vocab >= 2, f"vocab must be at least 2, got {vocab}")
    require(seq_len >= 2, f"seq_len must be at least 2, got {seq_len}")
    tokens = np.arange(vocab - 1)

    def draw(g: np.random.Generator, train: bool) -> tuple[list[int], list[int]]:
        x = [*g.choice(tokens, size=seq_len - 1).tolist(), vocab - 1]
        return x, x

    return draw


def _selective_copying(seed: int, *, vocab: int = 16, seq_len: int = 256, n_copy: int = 16) -> Draw:
    """`n_copy` tokens among blanks, then a marker; the targets of the last `n_copy` blanks are the tokens in order."""
    require(vocab >= 3, f"vocab must be at least 3, got {vocab}")
    require(n_copy >= 1, f"n_copy must be at least 1, got {n_copy}")
    require(seq_len > 2 * n_copy, f"seq_len must exceed 2 n_copy = {2 * n_copy}, got {seq_len}")
    blank, marker = vocab - 2, vocab - 1
    tokens = np.arange(vocab - 2)
    legacy = np.random.RandomState(_words(seed))  # mad-lab places blanks with numpy's global generator

    def draw(g: np.random.Generator, train: bool) -> tuple[list[int], list[int]]:
        content = g.choice(tokens, size=n_copy)
        at = legacy.randint(0, n_copy, seq_len - 2 * n_copy - 1)
        x = [*np.insert(content, at, blank).tolist(), marker, *[blank] * n_copy]
        return x, [IGNORED] * (seq_len - n_copy) + content.tolist()

    return draw


def _words(seed: int) -> int | list[int]:
    """`seed` as RandomState takes it: as it is up to 32 bits (as published), else as 32-bit words."""
    if seed < 2**32:
        return seed
    return [seed >> shift & 0xFFFFFFFF for shift in range(0, seed.bit_length(), 32)]


DRAWS: Mapping[str, Callable[..., Draw]] = MappingProxyType(
    {
        "in-context-recall": _in_context_recall,
        "fuzzy-in-context-recall": _fuzzy_recall,
        "noisy-in-context-recall": _noisy_recall,
        "memorization": _memorization,
        "compression": _compression,
        "selective-copying": _selective_copying,
    }
)
SHIFTED = frozenset(name for name in DRAWS if name.endswith("recall"))  # the input at t predicts the token at t + 1


def require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)
