"""Looks at candidate code without running it and names what a reader of the report should look at.

These are warnings: the sandbox enforces, this explains. Python files are read as syntax trees, others as text.
"""

import ast
import re
from collections.abc import Iterator, Mapping

from aira_jax.sandbox import syntax

PROCESS_AND_NETWORK = (
    "socket", "subprocess", "multiprocessing", "pty", "ctypes", "urllib", "http", "requests", "httpx", "aiohttp",
    "ftplib", "os.system", "os.popen", "os.fork", "os.forkpty", "os.exec", "os.spawn", "os.posix_spawn",
)  # fmt: skip
CLOCK = (
    "time.time", "time.time_ns", "time.perf_counter", "time.perf_counter_ns", "time.monotonic", "time.monotonic_ns",
    "time.process_time", "time.thread_time", "time.sleep", "time.clock_gettime", "datetime.datetime.now",
    "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today",
)  # fmt: skip
GENERATORS = ("lra.data.listops", "lra.data.recall", "lra.data.needle", "lra.data.build", "aira_jax.proxies.mad")
_LABELS = re.compile(r"\w*_with_labels|result[_-]file|result\.json|events\.jsonl|gold_submission\w*")
_OUTSIDE = re.compile(r"^(/(?!dev/null$)\w|~|\.\./)|/\.\./")


def scan(files: Mapping[str, str], exclusive: bool = False) -> list[str]:
    """Warnings as "path:line: text", sorted by place, each once.

    `exclusive` marks a task whose score depends on the clock: there the use of clocks is a warning too.
    """
    found = set()
    for path, text in files.items():
        for line, warning in _scan_python(path, text, exclusive) if path.endswith(".py") else _scan_text(text):
            found.add((path, line, warning))
    return [f"{path}:{line}: {warning}" for path, line, warning in sorted(found)]


def _scan_text(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        for match in _LABELS.finditer(line):
            yield number, f"names {match[0]!r}"


def _scan_python(path: str, text: str, exclusive: bool) -> Iterator[tuple[int, str]]:
    try:
        tree = syntax.parsed(text, path)
    except SyntaxError:  # its class is syntax: it will not run
        return
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for imported, alias in _imports(node):
                names[alias] = imported
                yield from _uses(imported, node.lineno, exclusive)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name):
            yield from _uses(_dotted(node, names), node.lineno, exclusive)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from _mentions(node.value, node.lineno)


def _imports(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str]]:
    """(full name, local name) of everything that the statement binds."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            top = alias.name.split(".")[0]
            yield (alias.name, alias.asname) if alias.asname else (top, top)
    elif node.module and not node.level:
        for alias in node.names:
            yield f"{node.module}.{alias.name}", alias.asname or alias.name


def _dotted(node: ast.expr, names: Mapping[str, str]) -> str:
    """`sp.run` with `import subprocess as sp` -> "subprocess.run"; "" for anything but imported names."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in names:
        return ""
    return ".".join([names[node.id], *reversed(parts)])


def _uses(name: str, line: int, exclusive: bool) -> Iterator[tuple[int, str]]:
    for wire in PROCESS_AND_NETWORK:
        exact_family = wire in ("os.exec", "os.spawn")
        if name == wire or name.startswith(wire + ".") or (exact_family and name.startswith(wire)):
            yield line, f"uses {wire}"
    for generator in GENERATORS:
        if name.startswith(generator):
            yield line, f"uses {generator}, which makes the rows of a task"
    if exclusive and name in CLOCK:
        yield line, f"reads the clock ({name})"


def _mentions(text: str, line: int) -> Iterator[tuple[int, str]]:
    if "\n" not in text and len(text) < 4096 and _OUTSIDE.search(text):
        yield line, f"names a path outside the work directory ({text[:80]!r})"
    for match in _LABELS.finditer(text):
        yield line, f"names {match[0]!r}"
