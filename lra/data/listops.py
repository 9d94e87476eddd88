"""ListOps: the grammar, its token ids, the value of an expression, and its text form.

Nested lists of digits under MIN, MAX, MED (integer part of the median) and SM (sum modulo 10); the class is the value,
0 to 9. Sources: Nangia & Bowman 2018 (arXiv 1804.06028); Tay et al. 2020 (arXiv 2011.04006). Here every sample is a
pure function of (seed, split, index), so any part of a data set can be made alone, in any order. The generator
is the vectorised one in `listops_trees`; `tests/lra/listops_reference.py` defines what it must give.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

GENERATOR = "listops-1"
OPERATORS = ("MIN", "MAX", "MED", "SM")
TOKENS = ("", *"0123456789", *(f"[{name}" for name in OPERATORS), "]")
IDS = {text: i for i, text in enumerate(TOKENS) if text} | {"X": 15}
VOCAB = 17  # padding 0, tokens 1 ... 15, and 16 kept for an unknown token
CLASSES = 10
FIRST_OPERATOR, CLOSE = IDS["[MIN"], IDS["]"]
MAX_TREES = 10_000
DIGIT_ABOVE = 0.25  # a node is a digit when its uniform draw exceeds this
_MAX_EXPECTED_NODES = 100_000


@dataclasses.dataclass(frozen=True)
class Params:
    """Shape of the expressions. Lengths are in tokens and strict: min_length < length < max_length.

    Errors: ValueError for values that describe no list or trees without a practical end.
    """

    max_depth: int = 10
    max_args: int = 10
    min_length: int = 500
    max_length: int = 2000

    def __post_init__(self):
        if self.max_depth < 2:
            raise ValueError(f"max_depth {self.max_depth}: at least 2 (a list and its digits)")
        if not 2 <= self.max_args <= 64:
            raise ValueError(f"max_args {self.max_args} is outside [2, 64]")
        if self.min_length < 1:
            raise ValueError(f"min_length {self.min_length}: at least 1 (a single digit is no list)")
        if self.max_length < self.min_length + 2:
            raise ValueError(
                f"no length is both above min_length {self.min_length} and below max_length {self.max_length}: "
                "raise max_length"
            )
        if self.expected_nodes > _MAX_EXPECTED_NODES:
            raise ValueError(
                f"max_depth {self.max_depth} with max_args {self.max_args} gives trees of {self.expected_nodes:.3g} "
                f"nodes on average, {_MAX_EXPECTED_NODES} allowed: lower one of them"
            )

    @property
    def expected_nodes(self) -> float:
        """Mean number of nodes of a drawn tree."""
        growth = DIGIT_ABOVE * (2 + self.max_args) / 2
        return sum(growth**depth for depth in range(min(self.max_depth, 400)))

    def nothing_accepted(self) -> ValueError:
        """The error for parameters under which a sample finds no tree."""
        return ValueError(
            f"{MAX_TREES} trees of one sample were rejected: min_length {self.min_length}, max_length "
            f"{self.max_length}, max_depth {self.max_depth} and max_args {self.max_args} accept (almost) nothing; "
            "lower min_length, or raise max_length or max_depth"
        )


OFFICIAL = Params()
SMOKE = Params(max_depth=3, max_args=5, min_length=5, max_length=40)


def evaluate(ids: Sequence[int]) -> int:
    """The value of one expression, given as token ids. Errors: ValueError when it is not one complete expression."""
    pending: list[tuple[int, list[int]]] = []
    for position, token in enumerate(ids):
        if FIRST_OPERATOR <= token < CLOSE:
            pending.append((token - FIRST_OPERATOR, []))
            continue
        if token == CLOSE and pending and pending[-1][1]:
            value = _apply(*pending.pop())
        elif 1 <= token <= 10:
            value = token - 1
        else:
            raise ValueError(f"token {position + 1} ({_shown(token)}) closes no list or an empty one")
        if not pending:
            if position + 1 < len(ids):
                raise ValueError(f"token {position + 2} follows a complete expression")
            return value
        pending[-1][1].append(value)
    raise ValueError(f"{len(pending)} list(s) not closed" if pending else "no tokens")


def _apply(operator: int, values: list[int]) -> int:
    match OPERATORS[operator]:
        case "MIN":
            return min(values)
        case "MAX":
            return max(values)
        case "SM":
            return sum(values) % 10
        case _:
            ordered, n = sorted(values), len(values)
            return (ordered[(n - 1) // 2] + ordered[n // 2]) // 2


def _shown(token: int) -> str:
    return repr(TOKENS[token]) if 0 < token < len(TOKENS) else f"id {token}"


def ids_of(source: str) -> list[int]:
    """Token ids of an expression's text: parentheses are dropped, `X` is read as `]`. ValueError: unknown token."""
    ids = []
    for text in source.split():
        if text in "()":
            continue
        if text not in IDS:
            raise ValueError(f"unknown token {text!r}: 0-9, {', '.join(TOKENS[11:])} expected")
        ids.append(IDS[text])
    return ids


def text_of(ids: Sequence[int]) -> str:
    """The expression's text, tokens joined by single blanks."""
    return " ".join(TOKENS[i] for i in ids)


def parenthesised(ids: Sequence[int]) -> str:
    """The text as a left-nested binary tree, the form of the published TSV files: `( ( ( [MAX 4 ) 3 ) ] )`."""
    stack: list[str] = []
    for token in ids:
        if FIRST_OPERATOR <= token < CLOSE:
            stack.append(TOKENS[token])
            continue
        node = TOKENS[token]
        if token == CLOSE:
            node = f"( {stack.pop()} ] )"
        if stack:
            stack[-1] = f"( {stack[-1]} {node} )"
        else:
            return node
    raise ValueError("the expression is not complete")


def lines(tokens: np.ndarray, lengths: np.ndarray, labels: np.ndarray) -> bytes:
    """The canonical text of rows, `source<TAB>value<LF>` each: what hashes of a split are taken over.

    Args: tokens uint8 [sum of lengths], lengths [N], labels [N].
    """
    ends = np.cumsum(lengths)
    codes = np.empty(len(tokens) + len(lengths), np.uint8)
    end_codes = ends + np.arange(len(lengths))
    is_token = np.ones(len(codes), bool)
    is_token[end_codes] = False
    codes[is_token] = tokens
    codes[end_codes] = _END + labels
    codes[end_codes - lengths] += _START
    characters = _TEXT[codes].ravel()
    return characters[characters != 0].tobytes()


_START = len(TOKENS)  # code of a token that opens a row: no blank before it
_END = 2 * _START  # code of a row's value
_TEXT = np.array(
    [f" {text}" for text in TOKENS] + list(TOKENS) + [f"\t{value}\n" for value in range(CLASSES)], "S5"
).view(np.uint8)
_TEXT = _TEXT.reshape(-1, 5)


def read_tsv(path: Path) -> Iterator[tuple[bytes, int]]:
    """(token ids as bytes, value) per row of a basic_*.tsv file. ValueError: file, line and what is wrong."""
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            fields = line.rstrip("\r\n").split("\t")
            if number == 1 and fields == ["Source", "Target"]:
                continue
            try:
                yield _row(fields)
            except ValueError as error:
                raise ValueError(f"{path} line {number}: {error}") from error


def _row(fields: list[str]) -> tuple[bytes, int]:
    if len(fields) != 2:
        raise ValueError(f"{len(fields)} fields, 2 expected: Source<TAB>Target")
    source, target = fields
    if target not in TOKENS[1:11]:
        raise ValueError(f"Target {target!r} is not a digit")
    ids = ids_of(source)
    value = evaluate(ids)
    if value != int(target):
        raise ValueError(f"Target {target}, but the expression is {value}")
    return bytes(ids), value
