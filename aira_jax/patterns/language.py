"""The pattern language: which primitive stands at which layer.

    pattern   = item { separator item };   separator = "-" | "+" | "," | ";" | white space | nothing
    item      = [count ["*"]] (primitive | "(" pattern ")");   count = 1..9999
    primitive = a token of registry.py: "A" or "mA" (attention), "M" (MLP), "Mb" (Mamba-2), and your own

For example `3(2Mb-M-A)-2(Mb-M)`, `2A + 5 (A + M) + 4M` and `AAMMb`. Unicode dashes and multiplication signs are read
as their ASCII forms. No other module parses patterns; `options.py` extends this parser by options of a layer.
"""

import dataclasses
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator

from aira_jax.patterns import registry
from aira_jax.patterns.registry import tokens

MAX_LAYERS = 4096
MAX_COUNT = 9999

_PRETTY_LAYERS = 128  # longer patterns are printed as runs
_SHOWN = 160  # characters of the input that an error shows
_DIGITS = re.compile("[0-9]+")
_SEPARATORS = frozenset("-+,;")
_ASCII = str.maketrans(
    dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d", "-") | dict.fromkeys("×∗✕", "*")
)


class PatternError(ValueError):
    """`text` is no acceptable pattern. `pos` is the 0-based offset of the offending character, `fix` the mend."""

    def __init__(self, problem: str, text: str, pos: int, fix: str):
        super().__init__(problem, text, pos, fix)
        self.problem, self.text, self.pos, self.fix = problem, text, pos, fix

    @property
    def picture(self) -> str:
        return picture(self.text, self.pos)

    def __str__(self) -> str:
        return f"{self.problem} (position {self.pos})\n{self.picture}\n    {self.fix}"


@dataclasses.dataclass(frozen=True)
class Pattern:
    """A non-empty sequence of primitives. Equality and hash are those of `layers`.

    `source` is the text that it was parsed from; it serves error messages only.
    """

    layers: tuple[str, ...]
    source: str = dataclasses.field(default="", compare=False, repr=False)

    def __post_init__(self):
        object.__setattr__(self, "layers", tuple(map(self.layer, self.layers)))
        if not 1 <= len(self.layers) <= MAX_LAYERS:
            raise ValueError(f"a pattern has 1 to {MAX_LAYERS} layers, got {len(self.layers)}")

    @staticmethod
    def layer(text: str) -> str:
        """`text` as an element of `layers`; ValueError if it is no primitive."""
        if text not in tokens():
            raise ValueError(f"unknown primitive {text!r}: use {_listed(tokens())}")
        return text

    def __len__(self) -> int:
        return len(self.layers)

    def __str__(self) -> str:
        return self.canonical()

    def counts(self) -> Counter[str]:
        """How many layers each primitive has; an absent primitive reads as 0."""
        return Counter({p: n for p in tokens() if (n := self.layers.count(p))})

    def runs(self) -> tuple[tuple[str, int], ...]:
        """Maximal runs as (primitive, length)."""
        return tuple((p, len(list(run))) for p, run in itertools.groupby(self.layers))

    def canonical(self) -> str:
        """The unique run-length form, e.g. `3A-M-A`: equal strings mean equal layers, so caches key on it."""
        return "-".join(_times(n, p) for p, n in self.runs())

    def pretty(self) -> str:
        """The shortest nested form, e.g. `8(A-M)`; ties go to the leftmost fold. Above 128 layers: `canonical()`."""
        return _fold(self.layers) if len(self) <= _PRETTY_LAYERS else self.canonical()

    def compact(self) -> str:
        """The primitives without separators, e.g. `AAMMb`."""
        return "".join(self.layers)


def parse(text: str) -> Pattern:
    """Reads one pattern; raises PatternError whose `pos` refers to `text` as given."""
    return Pattern(Parser(text).parse(), source=text)


def validate(pattern: Pattern, n_layers: int | None = None, primitives: Iterable[str] | None = None) -> None:
    """Raises PatternError unless `pattern` has `n_layers` layers, all of them in `primitives` (None: not checked)."""
    text = pattern.source or pattern.canonical()
    allowed = tokens() if primitives is None else tuple(primitives)
    stored = registry.spellings()
    for found in re.finditer("|".join(stored), text.translate(_ASCII)):
        if stored[found[0]] not in allowed:
            fix = f"use only {_listed(allowed)}"
            raise PatternError(f"primitive {found[0]} does not belong to this space", text, found.start(), fix)
    if n_layers is None or len(pattern) == n_layers:
        return
    missing = n_layers - len(pattern)
    noun = "one layer" if abs(missing) == 1 else f"{abs(missing)} layers"
    layers = (pattern.layers + (pattern.layers[-1],) * max(missing, 0))[:n_layers]
    example = dataclasses.replace(pattern, layers=layers).pretty()
    verb = "add" if missing > 0 else "remove"
    problem = f"{n_layers} layers required, got {len(pattern)}: {verb} {noun}"
    raise PatternError(problem, text, len(text), f"for example {example}")


def edit_distance(a: Pattern, b: Pattern) -> int:
    """Levenshtein distance between the layer sequences, unit costs."""
    row = list(range(len(b) + 1))
    for i, p in enumerate(a.layers, 1):
        diagonal, row[0] = row[0], i
        for j, q in enumerate(b.layers, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (p != q))
    return row[-1]


def hamming(a: Pattern, b: Pattern) -> int:
    """How many layers differ; both patterns must have the same length."""
    if len(a) != len(b):
        raise ValueError(
            f"the Hamming distance needs equal lengths, got {len(a)} and {len(b)} layers: use edit_distance"
        )
    return sum(p != q for p, q in zip(a.layers, b.layers, strict=True))


def neighbours(pattern: Pattern, primitives: Iterable[str] | None = None) -> Iterator[Pattern]:
    """Every pattern that differs in exactly one layer, by layer and then in the order of `primitives` (None: all)."""
    allowed = tokens() if primitives is None else tuple(primitives)
    for i, old in enumerate(pattern.layers):
        for new in allowed:
            if new != old:
                yield Pattern((*pattern.layers[:i], new, *pattern.layers[i + 1 :]))


def picture(text: str, pos: int) -> str:
    """Two lines: `text`, or the part of it around `pos`, and a caret under the character at `pos`."""
    start = max(0, min(pos - _SHOWN // 2, len(text) - _SHOWN))
    shown = "".join(c if c.isprintable() else " " for c in text[start : start + _SHOWN])
    left, right = "..." * (start > 0), "..." * (start + _SHOWN < len(text))
    return f"    {left}{shown}{right}\n    {' ' * (len(left) + pos - start)}^"


def _listed(names: Iterable[str]) -> str:
    *head, last = names
    return f"{', '.join(head)} or {last}" if head else last


def _times(n: int, body: str) -> str:
    return body if n == 1 else f"{n}{body}"


@dataclasses.dataclass
class _Group:
    """An open parenthesis (or the whole input) and the layers read in it so far."""

    open_pos: int
    count: int
    start: int
    layers: list[str] = dataclasses.field(default_factory=list)
    separator: int | None = None  # position of a separator that still waits for its item


class Parser:
    """One pass over the input with an explicit stack, so that no nesting can exhaust Python's own.

    A larger language overrides `layer`, which reads one layer at `pos`, and `unknown`.
    """

    def __init__(self, text: str):
        self.text, self.chars = text, text.translate(_ASCII)
        self.pos, self.total = 0, 0
        self.spellings = registry.spellings()
        self.stack = [_Group(open_pos=0, count=1, start=0)]

    def parse(self) -> tuple[str, ...]:
        if not self.chars.strip():
            raise self.error("the pattern is empty", 0, "give at least one layer, for example 8(A-M)")
        while self.pos < len(self.chars):
            char = self.chars[self.pos]
            if char.isspace():
                self.pos += 1
            elif char in _SEPARATORS:
                self.separator()
            elif char == ")":
                self.close()
            else:
                self.item()
        if len(self.stack) > 1:
            raise self.error("this parenthesis is never closed", self.stack[-1].open_pos, "add a )")
        self.finish_items()
        return tuple(self.stack[0].layers)

    def error(self, problem: str, pos: int, fix: str) -> PatternError:
        return PatternError(problem, self.text, pos, fix)

    def separator(self) -> None:
        group = self.stack[-1]
        if group.separator is not None or not group.layers:
            raise self.error("no item before this separator", self.pos, "remove the separator or add a layer before it")
        group.separator = self.pos
        self.pos += 1

    def finish_items(self) -> None:
        pending = self.stack[-1].separator
        if pending is not None:
            raise self.error("no item after this separator", pending, "remove the separator or add a layer after it")

    def item(self) -> None:
        start = self.pos
        count = self.count()
        self.stack[-1].separator = None
        if self.chars.startswith("(", self.pos):
            self.stack.append(_Group(open_pos=self.pos, count=count, start=start))
            self.pos += 1
            return
        layer = self.layer()
        self.grow(count, start)
        self.stack[-1].layers += [layer] * count

    def layer(self) -> str:
        for spelling, token in self.spellings.items():
            if self.chars.startswith(spelling, self.pos):
                self.pos += len(spelling)
                return token
        raise self.unknown()

    def count(self) -> int:
        """The count in front of an item (1 if there is none), with the `*` and the white space after it."""
        digits = _DIGITS.match(self.chars, self.pos)
        if digits is None:
            return 1
        start, number = self.pos, digits[0]
        if number.strip("0") == "":
            raise self.error("a count of 0", start, "remove the item or use a count from 1")
        if number[0] == "0":
            raise self.error("a count with a leading zero", start, f"write {number.lstrip('0')[:8]}")
        if len(number) > 4:
            raise self.error("a count that is too large", start, f"use at most {MAX_COUNT}")
        self.pos = self.after_space(digits.end())
        if self.chars.startswith("*", self.pos):
            self.pos = self.after_space(self.pos + 1)
        if self.pos == len(self.chars) or self.chars[self.pos] in "-+,;)0123456789":
            raise self.error("a count without a primitive", start, f"write the count first, as in {number}A")
        return int(number)

    def after_space(self, pos: int) -> int:
        while pos < len(self.chars) and self.chars[pos].isspace():
            pos += 1
        return pos

    def close(self) -> None:
        group = self.stack[-1]
        if len(self.stack) == 1:
            raise self.error("this parenthesis was never opened", self.pos, "remove it or add a ( before")
        if not group.layers:
            raise self.error("an empty group", group.open_pos, "put a layer into the parentheses or remove them")
        self.finish_items()
        self.grow((group.count - 1) * len(group.layers), group.start)
        self.stack.pop()
        self.stack[-1].layers += group.layers * group.count
        self.pos += 1

    def grow(self, n: int, pos: int) -> None:
        """Counts `n` more layers before they exist, so that a huge pattern costs nothing."""
        self.total += n
        if self.total > MAX_LAYERS:
            raise self.error(f"more than {MAX_LAYERS} layers", pos, "use smaller counts")

    def unknown(self) -> PatternError:
        char, rest = self.chars[self.pos], self.chars[self.pos :].lower()
        longest = sorted(tokens(), key=len, reverse=True)
        meant = [t for t in longest if rest.startswith(t.lower())] or [t for t in longest if rest[0] in t.lower()]
        if meant:
            fix = f"use {meant[0]}"
        elif char == "*":
            fix = f"write the count first, as in 2{tokens()[0]}"
        else:
            fix = "use ( and )" if char in "[]{}" else f"use {_listed(tokens())}"
        return self.error(f"unknown symbol {self.text[self.pos]!r}", self.pos, fix)


def _fold(layers: tuple[str, ...]) -> str:
    """The shortest nested form of `layers`, by dynamic programming over intervals.

    `best[i, j]` writes layers[i:j]; `item[i, j]` is the shortest repetition that covers exactly layers[i:j].
    A form is an item followed by the best form of the rest. On ties the first item is a repetition rather than a single
    layer, and the longest one.
    """
    n = len(layers)
    agree = _agreement(layers)
    best: dict[tuple[int, int], str] = {}
    item: dict[tuple[int, int], str] = {}
    ends: list[list[int]] = [[] for _ in layers]  # where an item that starts here can end
    for i in reversed(range(n)):
        for j in range(i + 1, n + 1):
            repeated = _repetition(i, j, layers, agree, best)
            if repeated is not None:
                item[i, j] = repeated
                ends[i].append(j)
            forms = (item[i, m] if m == j else f"{item[i, m]}-{best[m, j]}" for m in reversed(ends[i]))
            best[i, j] = min(forms, key=len)
    return best[0, n]


def _agreement(layers: tuple[str, ...]) -> list[list[int]]:
    """agree[i][j]: how many layers from i on equal those from j on."""
    n = len(layers)
    agree = [[0] * (n + 1) for _ in range(n + 1)]
    for i in reversed(range(n)):
        for j in reversed(range(n)):
            if layers[i] == layers[j]:
                agree[i][j] = agree[i + 1][j + 1] + 1
    return agree


def _repetition(i: int, j: int, layers: tuple[str, ...], agree: list[list[int]], best) -> str | None:
    """The shortest way to write layers[i:j] as one item, or None if it is neither a layer nor a repetition."""
    length = j - i
    if length == 1:
        return layers[i]
    for period in range(1, length // 2 + 1):
        if length % period == 0 and agree[i][i + period] >= length - period:
            return f"{length}{layers[i]}" if period == 1 else f"{length // period}({best[i, i + period]})"
    return None
