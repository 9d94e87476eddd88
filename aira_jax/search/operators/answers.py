"""The grammar in which a proposer answers: whole files, SEARCH/REPLACE edits and DELETE lines become a candidate.

    The plan, in prose.
    ````python path=model.py        a whole file; the fence has three or more backticks and ends at as many or more
    ...
    ````
    <<<<<<< SEARCH util.py          an edit: whole lines that occur exactly once in the parent's file
    old lines
    =======
    new lines
    >>>>>>> REPLACE
    DELETE notes.txt                on a line of its own

A fence without a path is the task's artifact, if there is one such fence only; a fence without a path that wraps edits
is transparent. `<think>...</think>` outside of blocks is dropped, and so is everything before a lone `</think>`.
"""

import dataclasses
import enum
import functools
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from aira_jax.sandbox.syntax import syntax_error

MAX_FILES = 64
MAX_FILE_BYTES = 256 * 1024
MAX_TOTAL_BYTES = 1024 * 1024
MAX_PATH_CHARS = 200
CUT = ("max_tokens", "length", "model_context_window_exceeded")

_FENCE = re.compile(r" {0,3}(?P<ticks>`{3,})(?P<info>[^`]*)$")
_PATH = re.compile(r"""(?:^|\s)path=(?:"(?P<quoted>[^"]*)"|(?P<bare>\S*))""")
_SEARCH = re.compile(r"<{7} SEARCH(?P<path>\s.*)?$")
_DELETE = re.compile(r"DELETE\s+(?P<path>\S+)\s*$")


class AnswerError(ValueError):
    """The answer is no candidate. The message is meant for the proposer and says how to mend the answer."""


class EditMode(enum.StrEnum):
    FULL = "full"
    EDIT = "edit"
    CONTROL = "control"


class Contract(Protocol):
    """The part of a task that an answer must respect (aira_jax.tasks.task.Task has it)."""

    artifact: str
    editable: Sequence[str]
    starter: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Candidate:
    """What an operator proposes: `plan` is the text before the first block, `files` {relative path: text} are complete.

    `syntax_error` names the first .py file that Python cannot parse (a node of failure class syntax, never executed),
    None when all can be parsed. `edit_mode` is EDIT as soon as one SEARCH/REPLACE edit was used, else FULL; the search
    sets CONTROL for the answers of a control proposer.
    """

    plan: str
    files: Mapping[str, str]
    sha: str
    edit_mode: EditMode
    syntax_error: str | None = None


def candidate_sha(files: Mapping[str, str]) -> str:
    """sha256 over sorted paths of `path NUL decimal byte length NUL bytes`, in hex."""
    digest = hashlib.sha256()
    for path in sorted(files):
        content = files[path].encode()
        digest.update(b"%s\0%d\0%s" % (path.encode(), len(content), content))
    return digest.hexdigest()


def parse(
    text: str,
    parents: Sequence[Mapping[str, str]],
    task: Contract,
    *,
    stop_reason: str = "end_turn",
    allow_edits: bool = True,
) -> Candidate:
    """Reads an answer. Pure: equal arguments give an equal candidate or an AnswerError with an equal message.

    `parents` are the files of the node's parents in the action's order, empty for a draft. Edits and files that the
    answer does not mention refer to the first parent, for a draft to the task's starter files. A result that equals
    one of the parents is an error ("no change"); so is an answer cut at `stop_reason` "max_tokens", and an edit unless
    `allow_edits` (config.prompt.allow_edits).
    """
    if stop_reason in CUT:
        raise AnswerError(
            f"the answer was cut at the output limit (stop reason {stop_reason}): answer more briefly, or use "
            "SEARCH/REPLACE edits instead of whole files"
        )
    plan, blocks = _scan(text)
    edits = [block for block in blocks if isinstance(block, _Edit)]
    if edits and not allow_edits:
        raise AnswerError(f"line {edits[0].line}: SEARCH/REPLACE edits are not allowed here; give the whole file")
    files = _apply(_named(blocks, task), dict(parents[0] if parents else task.starter), task)
    _check_limits(files)
    if any(files == parent for parent in parents):
        raise AnswerError("no change: the answer leaves every file as it is in the parent; change at least one")
    edit_mode = EditMode.EDIT if edits else EditMode.FULL
    return Candidate(plan, files, candidate_sha(files), edit_mode, syntax_error(files))


@dataclasses.dataclass(frozen=True)
class _Full:
    path: str | None
    text: str
    line: int


@dataclasses.dataclass(frozen=True)
class _Edit:
    path: str
    old: tuple[str, ...]
    new: tuple[str, ...]
    line: int


@dataclasses.dataclass(frozen=True)
class _Delete:
    path: str
    line: int


_Block = _Full | _Edit | _Delete


class _Lines:
    """The lines of an answer with a place in them; `number` is that of the line that next() gave last, from 1.

    `last_thought` is the number of the last line with a `</think>`, 0 if there is none.
    """

    def __init__(self, text: str):
        self.lines, self.number = text.split("\n"), 0
        self.last_thought = max((i for i, line in enumerate(self.lines, 1) if "</think>" in line), default=0)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self.number >= len(self.lines):
            raise StopIteration
        self.number += 1
        return self.lines[self.number - 1]

    def rest(self) -> Sequence[str]:
        return self.lines[self.number :]

    def until(self, closes: re.Pattern[str], problem: str) -> tuple[str, ...]:
        """The lines before the first one that matches `closes`, which is consumed too; none: AnswerError(problem)."""
        start = self.number
        for line in self:
            if closes.match(line):
                return tuple(self.lines[start : self.number - 1])
        raise AnswerError(problem)

    def drop_thought(self, line: str) -> str:
        """`line` without the thought that begins in it and may end in a later line."""
        before, _, inside = line.partition("<think>")
        if "</think>" not in inside and self.last_thought <= self.number:
            return line.replace("<think>", "")
        while "</think>" not in inside:
            inside = next(self)
        return before + inside.partition("</think>")[2]


def _scan(text: str) -> tuple[str, list[_Block]]:
    """The plan and the blocks of an answer, in order."""
    prose, blocks = [], []
    wrapper = None  # the pattern that closes a fence around edits
    lines = _Lines(text)
    for line in lines:
        while "<think>" in line:
            line = lines.drop_thought(line)
        if "</think>" in line:
            line, prose, blocks, wrapper = line.rpartition("</think>")[2], [], [], None
        if wrapper and wrapper.match(line):
            wrapper = None
        elif fence := _FENCE.match(line):
            closes = re.compile(rf" {{0,3}}`{{{len(fence['ticks'])},}}\s*$")
            path = _PATH.search(fence["info"])
            if path is None and _wraps_edits(lines.rest()):
                wrapper = closes
            else:
                blocks.append(_full(lines, closes, path))
        elif header := _SEARCH.match(line):
            blocks.append(_edit(lines, header))
        elif delete := _DELETE.match(line):
            blocks.append(_Delete(delete["path"], lines.number))
        elif not blocks and wrapper is None:
            prose.append(line)
    return "\n".join(prose).strip(), blocks


def _wraps_edits(lines: Sequence[str]) -> bool:
    return bool(_SEARCH.match(next((line for line in lines if line.strip()), "")))


def _full(lines: _Lines, closes: re.Pattern[str], path: re.Match[str] | None) -> _Full:
    opened = lines.number
    body = lines.until(closes, f"line {opened}: this fence is never closed; end it with a line of as many backticks")
    name = None if path is None else path["quoted"] if path["quoted"] is not None else path["bare"]
    return _Full(name, "".join(f"{line}\n" for line in body), opened)


def _edit(lines: _Lines, header: re.Match[str]) -> _Edit:
    opened = lines.number
    old = lines.until(re.compile(r"={7}\s*$"), f"line {opened}: this SEARCH block has no ======= line")
    new = lines.until(re.compile(r">{7} REPLACE\s*$"), f"line {opened}: this SEARCH block has no >>>>>>> REPLACE line")
    path = (header["path"] or "").strip()
    if not path:
        raise AnswerError(f"line {opened}: name the file to edit: <<<<<<< SEARCH path/of/the/file")
    if not any(line.strip() for line in old):
        raise AnswerError(f"line {opened}: the SEARCH text for {path} is empty; quote the lines to replace")
    return _Edit(path, old, new, opened)


def _named(blocks: Sequence[_Block], task: Contract) -> list[_Block]:
    """The blocks with checked paths; the one fence without a path gets that of the task's artifact."""
    unnamed = [block for block in blocks if block.path is None]
    if len(unnamed) > 1:
        places = ", ".join(str(block.line) for block in unnamed)
        raise AnswerError(
            f"{len(unnamed)} fences without a path (lines {places}): give every file as ```path=<relative path>"
        )
    if not blocks:
        raise AnswerError(
            f"the answer holds no file: give {task.artifact} in a fence that begins with ```path={task.artifact}"
        )
    named = [dataclasses.replace(b, path=task.artifact) if b.path is None else b for b in blocks]
    return [dataclasses.replace(b, path=_checked_path(b, task)) for b in named]


def _checked_path(block: _Block, task: Contract) -> str:
    path = block.path.removeprefix("./")
    parts = path.split("/")
    where = f"line {block.line}: path {block.path[:MAX_PATH_CHARS]!r}"
    if path.startswith("/"):
        raise AnswerError(f"{where} is absolute; paths are relative to the candidate's folder")
    if ".." in parts:
        raise AnswerError(f"{where} has '..'; files stay inside the candidate's folder")
    if "" in parts or "." in parts or "\\" in path or not path.isprintable() or len(path) > MAX_PATH_CHARS:
        raise AnswerError(f"{where} is no plain relative path such as src/model.py of at most {MAX_PATH_CHARS} letters")
    if path != task.artifact and not any(_glob(pattern).fullmatch(path) for pattern in task.editable):
        allowed = ", ".join(dict.fromkeys([task.artifact, *task.editable]))
        raise AnswerError(f"{where} may not be written; editable are: {allowed}")
    return path


@functools.cache
def _glob(pattern: str) -> re.Pattern[str]:
    """`*` and `?` stay within one folder, `**` crosses folders."""
    pieces = {"**/": r"(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(pieces.get(p, re.escape(p)) for p in re.split(r"(\*\*/|\*\*|\*|\?)", pattern)))


def _apply(blocks: Sequence[_Block], files: dict[str, str], task: Contract) -> dict[str, str]:
    """`files` after the blocks, in their order. One path may be written, edited or deleted, not two of these."""
    kinds: dict[str, type] = {}
    for block in blocks:
        if isinstance(block, _Edit) and kinds.get(block.path, _Edit) is _Edit:
            files[block.path] = _replaced(files, block)
        elif block.path in kinds:
            raise AnswerError(
                f"line {block.line}: {block.path} is given twice; write it whole, or edit it, or delete it"
            )
        elif isinstance(block, _Full):
            files[block.path] = block.text
        elif block.path in files:
            del files[block.path]
        else:
            raise AnswerError(f"line {block.line}: DELETE {block.path}: there is no such file")
        kinds[block.path] = type(block)
    return files


def _replaced(files: Mapping[str, str], edit: _Edit) -> str:
    """The file after one edit. Whole lines are compared; trailing white space counts only if that finds a place."""
    where = f"line {edit.line}: SEARCH text for {edit.path}"
    if edit.path not in files:
        known = ", ".join(sorted(files)) or "none"
        raise AnswerError(f"{where}: there is no such file to edit (files: {known}); give it whole")
    text = files[edit.path]
    lines = text.removesuffix("\n").split("\n")
    places = _places(lines, edit.old) or _places([l.rstrip() for l in lines], [l.rstrip() for l in edit.old])
    if not places:
        first = next(line for line in edit.old if line.strip()).strip()
        raise AnswerError(f"{where} does not occur in the file (it begins {first[:80]!r}); quote whole lines exactly")
    if len(places) > 1:
        at = ", ".join(str(place + 1) for place in places[:5])
        raise AnswerError(f"{where} is ambiguous: it occurs {len(places)} times (lines {at}); quote more lines around")
    start = places[0]
    lines[start : start + len(edit.old)] = edit.new
    return "\n".join(lines) + ("\n" if lines and text.endswith("\n") else "")


def _places(lines: Sequence[str], wanted: Sequence[str]) -> list[int]:
    span, wanted = len(wanted), list(wanted)
    return [i for i in range(len(lines) - span + 1) if lines[i : i + span] == wanted]


def _check_limits(files: Mapping[str, str]) -> None:
    if not files:
        raise AnswerError("the answer deletes every file; a candidate needs at least one")
    if len(files) > MAX_FILES:
        raise AnswerError(f"{len(files)} files, at most {MAX_FILES} are allowed")
    total = 0
    for path, text in files.items():
        if "\0" in text:
            raise AnswerError(f"{path} holds a NUL character; files are plain text")
        try:
            size = len(text.encode())
        except UnicodeEncodeError as error:
            raise AnswerError(f"{path} cannot be written as UTF-8: {error.reason} at character {error.start}") from None
        if size > MAX_FILE_BYTES:
            raise AnswerError(f"{path} has {size} bytes, at most {MAX_FILE_BYTES} (256 KiB) are allowed")
        total += size
    if total > MAX_TOTAL_BYTES:
        raise AnswerError(f"the files have {total} bytes together, at most {MAX_TOTAL_BYTES} (1 MiB) are allowed")
    for path in files:
        folder = next((other for other in files if path.startswith(other + "/")), None)
        if folder is not None:
            raise AnswerError(f"{folder} is a file, so {path} cannot lie in it")
