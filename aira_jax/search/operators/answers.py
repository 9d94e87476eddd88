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

The path may also stand in the fence as `python:model.py`, `title="model.py"` or `model.py`, or on a line of its own
above it (`**model.py**`). A lone fence without any is the task's artifact if its language can be. What cannot be read
for sure is refused with a question back, never guessed: diffs, misspelt or unpaired markers, a fence that ends inside
of its file. A fence without a path that wraps edits, and one of `markdown` that wraps an answer, are transparent.
Line ends become `\n`. `<think>...</think>` outside of blocks is dropped, and so is everything before a lone `</think>`.
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
MAX_ANSWER_CHARS = 4 * MAX_TOTAL_BYTES
MAX_BLOCKS = 512
MAX_NAMING_CHARS = 300
CUT = ("max_tokens", "length", "model_context_window_exceeded")
COMPLETE = ("end_turn", "stop", "stop_sequence")

_FENCE = re.compile(r" {0,3}(?P<ticks>`{3,})(?P<info>[^`]*)$")
_TILDES = re.compile(r" {0,3}~{3,}\s*\S")
_PATH = re.compile(
    r"""(?:^|[\s{,])(?:path|file|filename|file_name|title|name)\s*=\s*"""
    r"""(?:"(?P<quoted>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>[^\s}]*))"""
)
_NAME = r"[\w.-]+(?:/[\w.-]+)*\.[A-Za-z]\w{0,7}"
_COLON = re.compile(rf"[\w+#.-]*:(?P<path>{_NAME}|\S*/\S+)$")
_BARE = re.compile(rf"(?:[\w+#-]+\s+)?(?P<path>{_NAME})$")
_HEADING = re.compile(
    rf"[\s#>*_`\"'-]*(?:\d+[.)]\s+)?(?:(?:new |updated )?file(?:name)?\s*:?\s*)?"
    rf"[*_`\"']*(?P<path>{_NAME})[*_`\"'\s]*:?[*_`\s]*$",
    re.IGNORECASE,
)
_FIRST_LINE = re.compile(
    rf"\s*(?:#|//|--|<!--)\s*(?:file(?:name)?\s*:\s*)?(?P<path>{_NAME})\s*(?:-->)?\s*$", re.IGNORECASE
)
_SEARCH = re.compile(r"<{7} SEARCH(?P<path>\s.*)?$")
_MIDDLE = re.compile(r"={7}\s*$")
_REPLACE = re.compile(r">{7} REPLACE\s*$")
_MARKER = re.compile(r"\s*(?:<{5,9}\s*SEARCH\b|>{5,9}\s*REPLACE\b|<{7}(?:\s|$)|>{7}(?:\s|$))", re.IGNORECASE)
_HUNK = re.compile(r"^@@ -\d+(?:,\d+)? \+\d+(?:,\d+)? @@", re.MULTILINE)
_DELETE = re.compile(r"DELETE\s+(?P<path>\S+)\s*$")
_ASIDE = ("bash", "sh", "shell", "zsh", "console", "terminal", "shell-session", "powershell", "output", "log")
_DIFFS = ("diff", "patch", "udiff")
_MARKDOWN = ("markdown", "md")
_LANGUAGES = {  # of an unnamed fence that can be a file with this suffix
    ".py": ("python", "python3", "py"),
    ".json": ("json",),
    ".yaml": ("yaml", "yml"),
    ".yml": ("yaml", "yml"),
    ".csv": ("csv",),
    ".md": _MARKDOWN,
    ".toml": ("toml",),
}
_ANY = ("", "text", "txt", "plaintext", "plain")


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
    one of the parents is an error ("no change"); so is an answer whose `stop_reason` is none of a complete one, and an
    edit unless `allow_edits` (config.prompt.allow_edits).
    """
    if stop_reason.lower() in CUT:
        raise AnswerError(
            f"the answer was cut at the output limit (stop reason {stop_reason}): answer more briefly, or use "
            "SEARCH/REPLACE edits instead of whole files"
        )
    if stop_reason.lower() not in COMPLETE:
        raise AnswerError(f"the answer was broken off (stop reason {stop_reason[:80]}): give all of it once more")
    if len(text) > MAX_ANSWER_CHARS:
        raise AnswerError(f"the answer has {len(text)} characters, at most {MAX_ANSWER_CHARS} are read")
    plan, blocks = _scan(_normalised(text), _Names(task))
    if len(blocks) > MAX_BLOCKS:
        raise AnswerError(f"the answer has {len(blocks)} files and edits, at most {MAX_BLOCKS} are read")
    edits = [block for block in blocks if isinstance(block, _Edit)]
    if edits and not allow_edits:
        raise AnswerError(f"line {edits[0].line}: SEARCH/REPLACE edits are not allowed here; give the whole file")
    files = _apply(_named(blocks, task), dict(parents[0] if parents else task.starter), task)
    _check_limits(files)
    if any(_unix(files) == _unix(parent) for parent in parents):
        raise AnswerError("no change: the answer leaves every file as it is in the parent; change at least one")
    edit_mode = EditMode.EDIT if edits else EditMode.FULL
    return Candidate(plan, files, candidate_sha(files), edit_mode, syntax_error(files))


def _normalised(text: str) -> str:
    """The text without a byte-order mark, with `\n` for every line end."""
    return text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _unix(files: Mapping[str, str]) -> dict[str, str]:
    return {path: _normalised(text) for path, text in files.items()}


@dataclasses.dataclass(frozen=True)
class _Full:
    path: str | None
    text: str
    line: int
    bare: bool  # nothing stands behind its backticks


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

    def next_text(self) -> str:
        """The next line that is not blank, "" without one."""
        after = (self.lines[i] for i in range(self.number, len(self.lines)))
        return next((line for line in after if line.strip()), "")

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


@dataclasses.dataclass(frozen=True)
class _Names:
    """How fences of a task say which file they are."""

    task: Contract

    def of(self, info: str, above: str) -> str | None:
        """The path that a fence's info string or the line above it gives, None without one."""
        info, above = info.strip()[:MAX_NAMING_CHARS], above if len(above) <= MAX_NAMING_CHARS else ""
        if given := _PATH.search(info):
            return next(value for value in given.group("quoted", "single", "bare") if value is not None)
        found = _COLON.match(info) or _BARE.match(info) or _HEADING.match(above)
        return found["path"] if found else None

    def may_be_artifact(self, language: str) -> bool:
        suffix = "." + self.task.artifact.rpartition(".")[2]
        return language in _ANY or suffix not in _LANGUAGES or language in _LANGUAGES[suffix]


def _scan(text: str, names: _Names) -> tuple[str, list[_Block]]:
    """The plan and the blocks of an answer, in order."""
    prose, blocks = [], []
    wrappers: list[tuple[re.Pattern[str], int, str | None]] = []  # what closes a transparent fence, its line, its path
    above = ""
    lines = _Lines(text)
    for line in lines:
        while "<think>" in line:
            line = lines.drop_thought(line)
        if "</think>" in line:
            line, prose, blocks, wrappers = line.rpartition("</think>")[2], [], [], []
        if wrappers and wrappers[-1][0].match(line):
            wrappers.pop()
        elif fence := _FENCE.match(line):
            closes = re.compile(rf" {{0,3}}`{{{len(fence['ticks'])},}}\s*$")
            path, language = names.of(fence["info"], above), _language(fence["info"])
            wraps_edits = bool(_SEARCH.match(lines.next_text()))
            wraps_answer = path is None and language in _MARKDOWN and not names.may_be_artifact(language)
            if wraps_edits or wraps_answer:
                wrappers.append((closes, lines.number, path if wraps_edits else None))
            else:
                blocks += _full(lines, closes, path, language, names)
        elif header := _SEARCH.match(line):
            blocks.append(_edit(lines, header, wrappers[-1][2] if wrappers else None))
        elif delete := _DELETE.match(line):
            blocks.append(_Delete(delete["path"], lines.number))
        else:
            _refuse_markers([line], lines.number)
            if _TILDES.match(line):
                raise AnswerError(f"line {lines.number}: write fences with backticks: ```path=<relative path>")
            if not blocks and all(path is None for _, _, path in wrappers):
                prose.append(line)
        above = line if line.strip() else above
        if fence or header:
            above = ""
    if wrappers:
        raise AnswerError(
            f"line {wrappers[-1][1]}: this fence is never closed; end it with a line of as many backticks"
        )
    return "\n".join(prose).strip(), blocks


def _language(info: str) -> str:
    return re.match(r"[{.\s]*([\w+#-]*)", info)[1].lower() if "=" not in info.split(" ")[0] else ""


def _full(lines: _Lines, closes: re.Pattern[str], path: str | None, language: str, names: _Names) -> list[_Block]:
    """The file in a fence, or none where the fence is an aside (commands, output)."""
    opened = lines.number
    body = lines.until(closes, f"line {opened}: this fence is never closed; end it with a line of as many backticks")
    text = "".join(f"{line}\n" for line in body)
    ask = f"give every file as ```path=<relative path>, the artifact as ```path={names.task.artifact}"
    if path is None and language in _ASIDE:
        return []
    if language in _DIFFS or (_HUNK.search(text) and not (path or "").endswith((".diff", ".patch"))):
        raise AnswerError(f"line {opened}: diffs are not read; use SEARCH/REPLACE edits, or give the whole file")
    _refuse_markers(body, opened + 1)
    for number, line in enumerate(body, opened + 1):
        inner = _FENCE.match(line)
        if inner and inner["info"].strip() and closes.match(inner["ticks"]):
            raise AnswerError(
                f"line {number}: a fence begins inside the one of line {opened}; give a file that holds fences between "
                "longer ones (````path=...)"
            )
    if path is None:
        if not text.strip():
            raise AnswerError(f"line {opened}: this fence is empty; {ask}")
        if not names.may_be_artifact(language):
            raise AnswerError(f"line {opened}: is this {language} fence a file? {ask}")
        named = _FIRST_LINE.match(body[0][:MAX_NAMING_CHARS]) if body else None
        if named and named["path"] != names.task.artifact:
            raise AnswerError(f"line {opened}: its first line names {named['path']}; {ask}")
    return [_Full(path, text, opened, bare=not language)]


def _refuse_markers(lines: Sequence[str], number: int) -> None:
    for i, line in enumerate(lines, number):
        if _MARKER.match(line):
            raise AnswerError(
                f"line {i}: the edit marker {line.strip()[:40]!r} stands alone or is misspelt; an edit is <<<<<<< "
                "SEARCH path, old lines, =======, new lines, >>>>>>> REPLACE, each marker on a line of its own"
            )


def _edit(lines: _Lines, header: re.Match[str], wrapped_in: str | None) -> _Edit:
    opened = lines.number
    old = lines.until(_MIDDLE, f"line {opened}: this SEARCH block has no ======= line")
    new = lines.until(_REPLACE, f"line {opened}: this SEARCH block has no >>>>>>> REPLACE line")
    _refuse_markers(old, opened + 1)
    _refuse_markers(new, opened + len(old) + 2)
    if any(_MIDDLE.match(line) for line in new):
        raise AnswerError(f"line {opened}: this edit has more than one ======= line; give the whole file instead")
    path = (header["path"] or "").strip() or wrapped_in
    if not path:
        raise AnswerError(f"line {opened}: name the file to edit: <<<<<<< SEARCH path/of/the/file")
    if wrapped_in and path != wrapped_in:
        raise AnswerError(f"line {opened}: this edit of {path} stands in a fence of {wrapped_in}; name one file")
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
    given = any(block.path in (task.artifact, f"./{task.artifact}") for block in blocks)
    if unnamed and unnamed[0].bare and blocks[0] is not unnamed[0] and not given:
        raise AnswerError(
            f"line {unnamed[0].line}: this fence has no path; if it belongs to a file above, give that file between "
            f"longer fences (````path=...), else begin it with ```path={task.artifact}"
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
