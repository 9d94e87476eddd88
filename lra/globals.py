"""Reads a model.py's module-level numbers (LR = 1e-3, EMB_DIM = 2**8, ...) without importing it.

Readable: a number with sign, + - * / // ** of numbers, or a name of the same table that was set before. The last
assignment wins. This module imports no array library.
"""

import ast
import math
import operator
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from lra import settings as lra_settings
from lra.failures import CandidateFault, Kind
from lra.settings import FIELDS, NAMES, Settings

LARGEST_OPERAND = 1e6
LARGEST_EXPONENT = 16
_KEYS = {name: key for key, names in NAMES.items() for name in names}
_OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
}
_SIGNS = {ast.UAdd: operator.pos, ast.USub: operator.neg}
_READABLE = "a number, + - * / // ** of numbers, or a setting above it is expected"


@dataclass(frozen=True)
class Found:
    """One name with its last value and where it was set (line from 1)."""

    name: str
    value: float
    line: int


def read(
    source: str, task: str, *, configurable: bool, profile: str = "paper", strict: bool = False
) -> tuple[Settings, list[str]]:
    """The settings of a model.py on top of the profile's, and warnings.

    Not `configurable`: the profile's settings; names that are present are reported as ignored. `strict` turns warnings
    about ranges into errors.
    Raises: CandidateFault (syntax, config) that lists every problem at once; ValueError for an unknown task or profile.
    """
    base = lra_settings.profile(task, profile).settings
    tree = parse(source)
    if not configurable:
        present = sorted({name for name, _, _ in _assignments(tree)})
        ignored = f"ignored in this task, which fixes them: {', '.join(present)}"
        return base, [ignored] if present else []
    reader = _Reader(source)
    for name, value, line in _assignments(tree):
        reader.take(name, value, line)
    reader.hidden(tree)
    values, chosen = reader.settled()
    settings = base.replace(**values)
    problems = lra_settings.check(settings, task, profile_name=profile, chosen=chosen)
    errors = [*reader.problems, *problems.errors, *(problems.warnings if strict else ())]
    if errors:
        raise CandidateFault(Kind.CONFIG, "; ".join(errors), problems=errors)
    return settings, list(problems.warnings)


def parse(source: str) -> ast.Module:
    """The syntax tree. Raises: CandidateFault (syntax) with line and column."""
    try:
        return ast.parse(source)
    except SyntaxError as error:
        where = f"line {error.lineno}, column {error.offset}" if error.lineno else "the file"
        line = f": {error.text.strip()}" if error.text else ""
        raise CandidateFault(Kind.SYNTAX, f"{where}: {error.msg}{line}", line=error.lineno) from error
    except ValueError as error:  # a null byte
        raise CandidateFault(Kind.SYNTAX, f"the file is no text: {error}") from error
    except (RecursionError, MemoryError) as error:
        raise CandidateFault(Kind.SYNTAX, "an expression is nested too deeply for Python's parser") from error


def _assignments(tree: ast.Module) -> Iterator[tuple[str, ast.expr, int]]:
    """(name, value, line) of the known names that are set at module level, in order."""
    for statement in tree.body:
        for target in _targets(statement):
            if isinstance(target, ast.Name) and target.id in _KEYS:
                yield target.id, statement.value, statement.lineno


def _targets(statement: ast.AST) -> list[ast.expr]:
    match statement:
        case ast.Assign(targets=targets):
            return targets
        case ast.AnnAssign(target=target, value=value) if value is not None:
            return [target]
    return []


class _Reader:
    """Collects values in order and problems as they are met."""

    def __init__(self, source: str):
        self.lines = source.splitlines()
        self.found: dict[str, Found] = {}
        self.problems: list[str] = []

    def take(self, name: str, value: ast.expr, line: int) -> None:
        try:
            self.found[name] = Found(name, _typed(self._number(value), _KEYS[name]), line)
        except RecursionError:
            self.problems.append(f"line {line}: the value of {name} is nested too deeply; {_READABLE}")
        except _Unreadable as error:
            self.problems.append(f"line {line}: {self.lines[line - 1].strip()!r}: {error}")

    def _number(self, node: ast.expr) -> float:
        match node:
            case ast.Constant(value=value) if type(value) is int and abs(value) > sys.float_info.max:
                raise _Unreadable("the value is too large")
            case ast.Constant(value=value) if type(value) in (int, float):
                return value
            case ast.Constant(value=value):
                raise _Unreadable(f"{type(value).__name__} {value!r} is no number; {_READABLE}")
            case ast.UnaryOp(op=sign, operand=operand) if type(sign) in _SIGNS:
                return _SIGNS[type(sign)](self._number(operand))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return _computed(type(op), self._number(left), self._number(right))
            case ast.Name(id=name) if name in self.found:
                return self.found[name].value
            case ast.Name(id=name):
                raise _Unreadable(f"{name} is no setting with a value above; {_READABLE}")
        raise _Unreadable(f"{type(node).__name__} cannot be read without running the file; {_READABLE}")

    def hidden(self, tree: ast.Module) -> None:
        """Reports known names that are bound in other ways: inside if, for, def, ..., in a tuple, by +=."""
        read = {name for name, _, _ in _assignments(tree)}
        for statement in tree.body:
            bound = {node.id for node in ast.walk(statement) if _binds(node)} - {
                target.id for target in _targets(statement) if isinstance(target, ast.Name)
            }
            changed = isinstance(statement, ast.AugAssign)
            for name in sorted(bound if changed else bound - read):
                mend = "give it a value on a line of its own, at the top level"
                self.problems.append(f"line {statement.lineno}: {name} is set inside `{_kind(statement)}`: {mend}")

    def settled(self) -> tuple[dict[str, float], dict[str, str]]:
        """{setting: value} and {setting: how it was written}; aliases must agree."""
        values, chosen = {}, {}
        for key, names in NAMES.items():
            given = [self.found[name] for name in names if name in self.found]
            if len({found.value for found in given}) > 1:
                parts = " and ".join(f"{found.name} = {found.value:g} (line {found.line})" for found in given)
                self.problems.append(f"{parts} contradict each other: keep one of them")
            elif given:
                values[key], chosen[key] = given[0].value, f"line {given[0].line}: {given[0].name}"
        return values, chosen


class _Unreadable(Exception):
    pass


def _binds(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in _KEYS


def _kind(statement: ast.stmt) -> str:
    """How Python calls a statement: `if`, `for`, `def`, ...; the name of its syntax node otherwise."""
    words = {"FunctionDef": "def", "ClassDef": "class", "AugAssign": "+=", "Assign": "a, b = ..."}
    return words.get(type(statement).__name__, type(statement).__name__.lower())


def _computed(kind: type[ast.operator], left: float, right: float) -> float:
    if max(abs(left), abs(right)) > LARGEST_OPERAND:
        raise _Unreadable(f"operands above {LARGEST_OPERAND:g} are not computed")
    if kind is ast.Pow and abs(right) > LARGEST_EXPONENT:
        raise _Unreadable(f"exponents above {LARGEST_EXPONENT} are not computed")
    try:
        value = _OPERATORS[kind](left, right)
    except ZeroDivisionError:
        raise _Unreadable("division by zero") from None
    except OverflowError:
        raise _Unreadable("the value is too large") from None
    if isinstance(value, complex):
        raise _Unreadable("the value is complex")
    return value


def _typed(value: float, key: str) -> float:
    """The value in the type of its setting; integers may be written as integral floats."""
    if not math.isfinite(value):
        raise _Unreadable(f"{value} is not finite")
    if FIELDS[key] is float:
        return float(value)
    if value != int(value):
        raise _Unreadable(f"{value:g} is no whole number")
    return int(value)
