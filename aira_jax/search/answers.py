"""The grammar in which a proposer answers: whole files, SEARCH/REPLACE edits and DELETE lines become a candidate."""

import dataclasses
import enum
from collections.abc import Mapping, Sequence
from typing import Protocol

MAX_FILES = 64
MAX_FILE_BYTES = 256 * 1024
MAX_TOTAL_BYTES = 1024 * 1024


class AnswerError(ValueError):
    """The answer is no candidate. The message is meant for the proposer and says how to mend the answer."""


class EditMode(enum.StrEnum):
    FULL = "full"
    EDIT = "edit"
    CONTROL = "control"


class Contract(Protocol):
    """The part of a task that an answer must respect (aira_jax.tasks.loader.Task has it)."""

    artifact: str
    editable: Sequence[str]
    starter: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Candidate:
    """What an operator proposes: `plan` is the text before the first block, `files` {relative path: text} are complete.

    `syntax_error` names the first .py file that Python cannot parse (a node of failure class syntax, never executed),
    None when all can be parsed. `edit_mode` is EDIT as soon as one SEARCH/REPLACE edit was used, else FULL.
    """

    plan: str
    files: Mapping[str, str]
    sha: str
    edit_mode: EditMode
    syntax_error: str | None = None


def candidate_sha(files: Mapping[str, str]) -> str:
    """sha256 over sorted paths of `path NUL decimal byte length NUL bytes`, in hex."""
    raise NotImplementedError


def parse(
    text: str, parents: Sequence[Mapping[str, str]], task: Contract, *, stop_reason: str = "end_turn"
) -> Candidate:
    """Reads an answer. Pure: equal arguments give an equal candidate or an AnswerError with an equal message.

    `parents` are the files of the node's parents in the action's order, empty for a draft. Edits and files that the
    answer does not mention refer to the first parent, for a draft to the task's starter files. A result that equals
    one of the parents is an error ("no change"); so is an answer cut at `stop_reason` "max_tokens".
    """
    raise NotImplementedError
