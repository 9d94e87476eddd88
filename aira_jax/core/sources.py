"""The source files that decide a result, found by following imports: editing one changes every key that holds it.

Modules are read as text and never imported, so that this costs milliseconds and no array library.
"""

import ast
import functools
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from aira_jax.core.machine import ROOT

PROJECT = ("aira_jax", "kernels_pallas", "lra")


def digest(modules: Iterable[str], *, files: Iterable[Path] = (), without: Iterable[str] = ()) -> str:
    """sha256 over the import closure of `modules` (dotted names) and over `files`.

    Imports inside functions count, those for type checking do not. `without` names modules that are known not to decide
    the result: neither they nor what only they import is followed.
    """
    found = {name: _content(name) for name in closure(modules, without=without)}
    found |= {f"file {path.name}": path.read_bytes() for path in files}
    total = hashlib.sha256()
    for name in sorted(found):
        total.update(b"%s\0%d\0%s" % (name.encode(), len(found[name]), found[name]))
    return total.hexdigest()


def closure(modules: Iterable[str], *, without: Iterable[str] = ()) -> tuple[str, ...]:
    """All modules of this project that `modules` reach through imports, themselves included, sorted.

    Raises ValueError for a name that is no module of this project.
    """
    skipped, seen, open_ = frozenset(without), set(), list(modules)
    for name in open_:
        if path(name) is None:
            raise ValueError(f"{name} is no module of {', '.join(PROJECT)}")
    while open_:
        name = open_.pop()
        if name not in seen and name not in skipped:
            seen.add(name)
            open_ += imports(name)
    return tuple(sorted(seen))


@functools.cache
def imports(name: str) -> tuple[str, ...]:
    """The project's modules that module `name` imports, packages on the way included."""
    return imported_by(_content(name).decode(), package=_package(name))


def imported_by(source: str, *, package: str = "") -> tuple[str, ...]:
    """The project's modules that a source text imports; `package` resolves relative imports."""
    named = (name for node in _runtime(ast.parse(source)) for name in _names(node, package))
    return tuple(sorted({part for name in named for part in _lineage(name)}))


def path(name: str) -> Path | None:
    """The file of a module of this project, None if there is none."""
    if name.partition(".")[0] not in PROJECT:
        return None
    stem = ROOT.joinpath(*name.split("."))
    return next((file for file in (stem.with_suffix(".py"), stem / "__init__.py") if file.is_file()), None)


def _content(name: str) -> bytes:
    return path(name).read_bytes()


def _package(name: str) -> str:
    return name if path(name).name == "__init__.py" else name.rpartition(".")[0]


def _runtime(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those below `if TYPE_CHECKING:`."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        if not (isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING")):
            yield from _runtime(child)


def _names(node: ast.AST, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        above = package.rsplit(".", node.level - 1)[0] + "." if node.level else ""
        base = f"{above}{node.module or ''}".strip(".")
        yield base
        yield from (f"{base}.{alias.name}" for alias in node.names)


def _lineage(name: str) -> Iterator[str]:
    """`name` and the packages around it, as far as they are modules of this project."""
    parts = name.split(".")
    steps = (".".join(parts[:count]) for count in range(1, len(parts) + 1))
    return (step for step in steps if path(step) is not None)
