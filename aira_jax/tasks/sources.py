"""The raw data behind a task, by the key `corpus` of its metadata.yaml: one place that knows every kind.

A task made from several kinds joins their names: `babistories+dclm`.
"""

import dataclasses
import hashlib
from pathlib import Path

from aira_jax.tasks import lra_source, text_corpus

KINDS = (*text_corpus.VARIABLES, *lra_source.TASKS)


@dataclasses.dataclass(frozen=True)
class Joined:
    """The raw data of a task made from several kinds."""

    choices: "tuple[text_corpus.Choice | lra_source.Choice, ...]"

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(" ".join(choice.fingerprint for choice in self.choices).encode()).hexdigest()

    @property
    def description(self) -> str:
        return "; ".join(choice.description for choice in self.choices)


Choice = text_corpus.Choice | lra_source.Choice | Joined


def is_known(corpus: object) -> bool:
    """Whether this is a kind, or several joined by "+"."""
    return isinstance(corpus, str) and all(kind in KINDS for kind in corpus.split("+"))


def choose(corpus: str, raw: Path | None = None) -> Choice:
    """What a task of this corpus is made from; it has `fingerprint` and `description`. Raises ValueError."""
    kinds = corpus.split("+")
    if len(kinds) > 1:
        return Joined(tuple(choose(kind, raw) for kind in kinds))
    return (text_corpus if corpus in text_corpus.VARIABLES else lra_source).choose(corpus, raw)


def files(choice: Choice) -> tuple[Path, ...]:
    """Files and folders that are read: candidate code must not reach them, since they hold labels."""
    if isinstance(choice, Joined):
        return tuple(path for part in choice.choices for path in files(part))
    if isinstance(choice, lra_source.Choice):
        return choice.files
    return tuple(path for path in (choice.path,) if path is not None)


def variable(corpus: str) -> str:
    """The environment variables that name the raw data, in words."""
    names = (text_corpus.VARIABLES.get(kind, lra_source.VARIABLE) for kind in corpus.split("+"))
    return " and ".join(dict.fromkeys(names))
