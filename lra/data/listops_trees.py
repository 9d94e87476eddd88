"""ListOps trees for many samples at once: the vectorised form of `tests/lra/listops_reference.py`.

Each sample has its own stream of random words, and each word's meaning depends on all words before it. So many
samples ("lanes") are read side by side, one list opened or closed per lane and step. Two facts make a step cheap: a
run of digits is skipped at once (next word, two apart, that opens a list: a table), and a list whose children lie at
max_depth holds digits only, one word each, and needs no steps of its own.

Words of a node: below max_depth a uniform draw decides; a digit then takes 1 more word, a list 2 (its number of
children, its operator). At max_depth a digit is 1 word.

S lanes, W words per lane, E events (a list opened or closed), N tokens. Positions are flat: lane * W + word.
"""

import dataclasses
import enum

import numpy as np

from lra.data import listops, philox

_COMPACT_EVERY = 16
_UNBOUNDED = np.int32(2**30)
# U = (word >> 11) * 2**-53 > 1/4 makes a digit, so a list is word <= this
_LAST_LIST_WORD = np.uint64(int(listops.DIGIT_ABOVE * 2**53) << 11 | 2**11 - 1)


@dataclasses.dataclass(frozen=True)
class Rows:
    """Samples in the order of their indices: tokens uint8 [N], lengths int64 [S], labels int64 [S], trees drawn."""

    tokens: np.ndarray
    lengths: np.ndarray
    labels: np.ndarray
    trees: int

    def split(self) -> list[np.ndarray]:
        """The token ids of each sample."""
        return np.split(self.tokens, np.cumsum(self.lengths)[:-1])


class _Kind(enum.IntEnum):
    NONE = 0  # the lane waits for more words, or is done
    OPEN = 1
    LEAF_LIST = 2  # a list of digits at max_depth, opened and closed at once
    CLOSE = 3


@dataclasses.dataclass(frozen=True)
class _Events:
    """What happened, lane by lane and in order: int64 [E] each."""

    at: np.ndarray  # position of the word after the digits that precede the event
    run: np.ndarray  # number of those digits, two words each
    level: np.ndarray  # lists open before the event
    kind: np.ndarray

    def take(self, rows: np.ndarray) -> "_Events":
        return _Events(*(getattr(self, f.name)[rows] for f in dataclasses.fields(self)))


def draw(seed: int, split: philox.Tag, start: int, count: int, params: listops.Params) -> Rows:
    """Samples start ... start + count - 1. Errors: ValueError when a sample finds no tree in 10,000."""
    stream = philox.Words(seed, split)
    waiting = np.arange(count)
    offset, trees = np.zeros(count, np.int64), np.zeros(count, np.int64)
    parts: dict[int, tuple[np.ndarray, int]] = {}
    width = first_width(params)
    while len(waiting):
        aligned = offset[waiting] & ~3
        words = np.concatenate(
            [stream.block(start + int(s), width, int(o)) for s, o in zip(waiting, aligned, strict=True)]
        )
        scan = _Scan(words, width, offset[waiting] - aligned, trees[waiting], params)
        tokens, lengths, labels = _read(words, scan.run(), width, params)
        found = waiting[scan.accepted]
        rows = np.split(tokens, np.cumsum(lengths)[:-1])
        parts.update({int(s): (row, int(y)) for s, row, y in zip(found, rows, labels, strict=False)})
        trees[waiting] = scan.trees
        if (scan.trees >= listops.MAX_TREES + scan.accepted).any():
            raise params.nothing_accepted()
        offset[waiting] = aligned + scan.start - np.arange(len(waiting)) * width
        waiting = waiting[~scan.accepted]
        width *= 2
    ordered = [parts[s] for s in range(count)]
    return Rows(
        tokens=np.concatenate([row for row, _ in ordered]) if ordered else np.zeros(0, np.uint8),
        lengths=np.array([len(row) for row, _ in ordered], np.int64),
        labels=np.array([label for _, label in ordered], np.int64),
        trees=int(trees.sum()),
    )


def first_width(params: listops.Params) -> int:
    """Words per lane in the first round, a power of two. It sets the speed, never the result."""
    return 1 << (max(256, min(4096, 2 * params.max_length), 4 * params.max_args) - 1).bit_length()


class _Scan:
    """Reads the lanes side by side until each has accepted a tree or used up its words.

    Results per lane: `accepted`, `start` (position of the accepted tree, or of the tree to continue with), `trees`.
    """

    def __init__(self, words: np.ndarray, width: int, skip: np.ndarray, trees: np.ndarray, params: listops.Params):
        lanes = len(skip)
        self.words, self.width, self.params = words, width, params
        self.edge = width - 3 - params.max_args  # a list that opens at or after this word may not fit
        self.levels = params.max_depth - 1
        self.start = np.arange(lanes) * width + skip
        self.trees = trees.copy()
        self.accepted = np.zeros(lanes, bool)
        self.left = np.full(lanes * self.levels, _UNBOUNDED, np.int32)  # children to come, per lane and level
        self.steps: list[tuple[np.ndarray, ...]] = []
        self._index_stops(lanes)

    def _index_stops(self, lanes: int) -> None:
        """Tables for "the next word, in steps of two, that opens a list or is too near the end"."""
        stop = self.words <= _LAST_LIST_WORD
        stop.reshape(lanes, self.width)[:, self.edge :] = True
        by_parity = np.concatenate([stop[0::2], stop[1::2]])
        self.half = len(stop) // 2
        self.rank = np.zeros(len(stop) + 1, np.int32)
        np.cumsum(by_parity, dtype=np.int32, out=self.rank[1:])
        self.stops = np.flatnonzero(by_parity)

    def run(self) -> _Events:
        """Reads all lanes, and returns the events of the accepted trees in the order of their tokens."""
        lane = np.arange(len(self.start))
        state = self.start, np.zeros_like(lane), np.zeros_like(lane)
        while len(lane):
            for _ in range(_COMPACT_EVERY):
                state, active = self._step(lane, *state)
            lane, state = lane[active], tuple(values[active] for values in state)
        return self._finish()

    def _step(self, lane, at, level, length):
        """One event per lane. Returns the new (at, level, length) and which lanes are still reading.

        A lane that waits or is done stays at a stop near its end, where further steps change nothing.
        """
        place = (at >> 1) + (at & 1) * self.half
        digits = self.stops[self.rank[place]] - place
        slot = lane * self.levels + level
        left = self.left[slot]
        closing = digits >= left
        run = np.minimum(digits, left)
        here = at + 2 * run
        opening = ~closing & ((here & (self.width - 1)) < self.edge)
        children = 2 + philox.below(self.words[here + opening], self.params.max_args - 1)
        leaf_list = opening & (level == self.levels - 1)
        nested = opening & ~leaf_list

        self.left[slot] = left - (run + 1) * opening
        self.left[slot[nested] + 1] = children[nested]
        self.steps.append((here, run, level, opening + 1 * leaf_list + 3 * closing))

        extra = leaf_list * children
        length = np.where(level == 0, 0, length + run) + 2 * opening + extra
        after = here + opening * (3 + extra)
        level = level + nested - closing
        moved = opening | closing
        fits = (level == 0) & moved & (length > self.params.min_length) & (length < self.params.max_length)
        done = lane[fits]
        self.accepted[done] = True
        after[fits] = done * self.width + self.edge
        return (after, level, length), moved & ~fits

    def _finish(self) -> _Events:
        at, run, level, kind = (np.concatenate(column) for column in zip(*self.steps, strict=True))
        lane, root = at // self.width, level == 0
        whole = np.where(root, kind == _Kind.LEAF_LIST, (level == 1) & (kind == _Kind.CLOSE))
        self.trees += np.bincount(lane, run * root + whole, len(self.trees)).astype(np.int64)
        begins = np.flatnonzero(root & ((kind != _Kind.NONE) | ~self.accepted[lane]))
        self.start[lane[begins]] = at[begins]  # the last one counts

        start = self.start[lane]
        in_tree = (at > start) | ((at == start) & (kind != _Kind.CLOSE))
        keep = np.flatnonzero(in_tree & (kind != _Kind.NONE) & self.accepted[lane])
        keep = keep[np.argsort(lane[keep].astype(np.int32), kind="stable")]
        return _Events(at, run * ~root, level, kind).take(keep)


def _read(words: np.ndarray, events: _Events, width: int, params: listops.Params):
    """Tokens uint8 [N], lengths [S] and values [S] of the trees that `events` describe."""
    opens, leaf_list = events.kind != _Kind.CLOSE, events.kind == _Kind.LEAF_LIST
    children = np.where(opens, 2 + philox.below(words[events.at + opens], params.max_args - 1), 0)
    leaves = children * leaf_list
    size = events.run + 1 + leaves + leaf_list  # digits before, the bracket, digits within, the closing bracket
    ends = np.cumsum(size)
    tokens, depth = np.full(ends[-1] if len(ends) else 0, listops.CLOSE, np.uint8), np.zeros(ends[-1:].sum(), np.uint8)

    bracket = ends - size + events.run
    opener = bracket[opens]
    operator = philox.below(words[events.at[opens] + 2], len(listops.OPERATORS))
    tokens[opener] = listops.FIRST_OPERATOR + operator
    depth[opener] = events.level[opens] + 1
    before = _spread(ends - size, events.run), _spread(events.at - 2 * events.run + 1, events.run, stride=2)
    within = _spread(bracket + 1, leaves), _spread(events.at + 3, leaves)
    for (places, sources), level in ((before, events.level + 1), (within, events.level + 2)):
        tokens[places] = 1 + philox.below(words[sources], 10)
        depth[places] = np.repeat(level, events.run if places is before[0] else leaves)

    values = _values(tokens, depth, opener, operator, children[opens])
    roots = np.flatnonzero(depth == 1)
    return tokens, np.diff(np.append(roots, len(tokens))), values[roots]


def _spread(first: np.ndarray, counts: np.ndarray, stride: int = 1) -> np.ndarray:
    """first[e], first[e] + stride, ... (counts[e] numbers) for every e, end to end."""
    ends = np.cumsum(counts)
    return np.repeat(first - stride * (ends - counts), counts) + stride * np.arange(ends[-1] if len(ends) else 0)


def _values(tokens, depth, opener, operator, children) -> np.ndarray:
    """The value of every node: int16 [N], at the node's token. Lists of one depth are evaluated together.

    The nodes of one depth, in order, are the children of the lists one level up, in order.
    """
    values = tokens.astype(np.int16) - 1
    for level in range(int(depth.max(initial=1)), 1, -1):
        here = depth[opener] == level - 1
        child_values = values[depth == level]
        starts = np.cumsum(children[here]) - children[here]
        values[opener[here]] = _apply(operator[here], child_values, starts, children[here])
    return values


def _apply(operator, values, starts, children) -> np.ndarray:
    """Values of lists whose children are `values[starts[i] : starts[i] + children[i]]`."""
    least, most = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
    total = np.add.reduceat(values, starts) % 10
    result = np.choose(operator, [least, most, least, total])
    median = operator == listops.OPERATORS.index("MED")
    if median.any():
        result[median] = _medians(values, starts[median], children[median])
    return result


def _medians(values, starts, children) -> np.ndarray:
    """Integer part of the median of each list."""
    slot = np.arange(children.max())
    padded = values[np.minimum(starts[:, None] + slot, len(values) - 1)]
    padded[slot >= children[:, None]] = 10
    padded.sort(axis=1)
    row = np.arange(len(starts))
    return (padded[row, (children - 1) // 2] + padded[row, children // 2]) // 2
