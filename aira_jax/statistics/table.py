"""A table that is built once and written as CSV (all digits), Markdown and HTML (rounded, with words for missing)."""

import csv
import dataclasses
import enum
import io
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from aira_jax.core import formatting
from aira_jax.core.text import one_line
from aira_jax.statistics.bootstrap import Estimate

MISSING = "–"
_FORMULA = ("=", "+", "-", "@")  # with these a spreadsheet takes a text for a formula


class Form(enum.StrEnum):
    """How a value is written. From ESTIMATE on it is an Estimate, written with its interval."""

    TEXT = "text"
    LONG = "long"  # may take several lines
    COUNT = "count"
    NUMBER = "number"
    SCORE = "score"
    RATE = "rate"
    SECONDS = "seconds"
    USD = "usd"
    ESTIMATE = "estimate"
    MEASURED = "measured"  # in the task's own metric, with more digits
    PERCENT = "percent"  # of a rate
    DIFFERENCE = "difference"


_TEXTS = (Form.TEXT, Form.LONG)
_ESTIMATES = (Form.ESTIMATE, Form.MEASURED, Form.PERCENT, Form.DIFFERENCE)
_DIGITS = {Form.ESTIMATE: ".3f", Form.MEASURED: ".4f", Form.DIFFERENCE: "+.4f"}


@dataclasses.dataclass(frozen=True)
class Column:
    """`title` stands in the heading; `name` in CSV and JSON. `value` takes it from the item of a row; None: by name."""

    title: str
    name: str
    form: Form = Form.TEXT
    value: Callable[[Any], Any] | None = None

    def of(self, item: Any) -> Any:
        return getattr(item, self.name) if self.value is None else self.value(item)

    @property
    def numeric(self) -> bool:
        return self.form not in _TEXTS


@dataclasses.dataclass(frozen=True)
class Table:
    """`name` is a file name, `note` says how to read it. Rows hold plain values or Estimates, None for missing."""

    name: str
    title: str
    note: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]

    @classmethod
    def of(cls, name: str, title: str, note: str, columns: Sequence[Column], items: Iterable[Any]) -> "Table":
        """One row per item."""
        rows = tuple(tuple(column.of(item) for column in columns) for item in items)
        return cls(name, title, note, tuple(columns), rows)

    def filled(self) -> "Table":
        """This table without columns in which nothing is known."""
        kept = [any(value is not None for value in column) for column in zip(*self.rows, strict=True)]
        columns, *rows = (tuple(itertools.compress(line, kept)) for line in (self.columns, *self.rows))
        return dataclasses.replace(self, columns=columns, rows=tuple(rows))

    def texts(self) -> list[list[str]]:
        """Every cell as a reader sees it."""
        return [[written(v, c.form) for v, c in zip(row, self.columns, strict=True)] for row in self.rows]

    def to_csv(self) -> str:
        """Every digit; an estimate takes four columns: value, low, high, n."""
        heads = [head for column in self.columns for head in _heads(column)]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(heads)
        for row in self.rows:
            writer.writerow([cell for v, c in zip(row, self.columns, strict=True) for cell in _cells(v, c.form)])
        return text.getvalue()

    def to_markdown(self) -> str:
        """A heading, the note, and a pipe table."""
        lines = [[column.title for column in self.columns], *self.texts()]
        rules = ["---:" if column.numeric else "---" for column in self.columns]
        head, *body = ("| " + " | ".join(_piped(cell) for cell in line) + " |" for line in lines)
        return "\n".join([f"## {self.title}", "", self.note, "", head, f"|{'|'.join(rules)}|", *body, ""])

    def to_json(self) -> list[dict[str, Any]]:
        """One object a row, by the columns' names; an estimate is an object of its own."""
        return [{c.name: _plain(value) for value, c in zip(row, self.columns, strict=True)} for row in self.rows]


def counts(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, name, Form.COUNT) for name in names)


def scores(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, name, Form.SCORE) for name in names)


TASK = Column("task", "task", value=lambda item: item.task.label)
AGENT = Column("agent", "agent")
RUNS, VALID, SEED, GOOD, TESTED = counts("runs", "valid", "seed", "good", "tested")


def written(value: Any, form: Form) -> str:
    """A value in a form, for readers."""
    if value is None:
        return "unpriced" if form is Form.USD else MISSING
    if form in _ESTIMATES:
        return _estimate(value, form)
    match form:
        case Form.COUNT:
            return f"{value:,}"
        case Form.NUMBER:
            return f"{value:g}"
        case Form.SCORE:
            return formatting.number(value)
        case Form.RATE:
            return f"{100 * value:.0f} %"
        case Form.SECONDS:
            return formatting.seconds(value)
        case Form.USD:
            return formatting.dollars(value)
        case Form.LONG:
            return one_line(str(value), 160)
    return one_line(str(value))


def _estimate(value: Estimate, form: Form) -> str:
    def show(x: float) -> str:
        if form is Form.PERCENT:
            return f"{100 * x:.0f}"
        return f"{x:{_DIGITS[form]}}"

    unit = " %" if form is Form.PERCENT else ""
    interval = "" if value.low is None else f" [{show(value.low)}, {show(value.high)}]"
    return f"{show(value.value)}{unit}{interval}"


def _heads(column: Column) -> Sequence[str]:
    if column.form in _ESTIMATES:
        return [column.name, *(f"{column.name}_{end}" for end in ("low", "high", "n"))]
    return [column.name]


def _cells(value: Any, form: Form) -> Sequence[Any]:
    if form in _ESTIMATES:
        return ["", "", "", ""] if value is None else [value.value, value.low, value.high, value.n]
    text = one_line(value, 2_000) if isinstance(value, str) else value
    return [f"'{text}" if isinstance(text, str) and text.startswith(_FORMULA) else text]


def _piped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _plain(value: Any) -> Any:
    if isinstance(value, Estimate):
        return {"value": value.value, "low": value.low, "high": value.high, "n": value.n}
    return str(value) if isinstance(value, enum.Enum) else value
