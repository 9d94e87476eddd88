"""The raw data behind a task, by the key `corpus` of its metadata.yaml: one place that knows every kind.

A task made from several kinds joins their names: `babistories+dclm`.
"""

import dataclasses
import hashlib
from pathlib import Path

from aira_jax.proxies import text_corpus
from aira_jax.tasks.aggregation import ledger_source
from aira_jax.tasks.lra import raw_data

_MODULES = {
    **dict.fromkeys(text_corpus.VARIABLES, text_corpus),
    **dict.fromkeys(raw_data.TASKS, raw_data),
    ledger_source.KIND: ledger_source,
}
KINDS = tuple(_MODULES)


@dataclasses.dataclass(frozen=True)
class Joined:
    """The raw data of a task made from several kinds."""

    choices: "tuple[Choice, ...]"

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(" ".join(choice.fingerprint for choice in self.choices).encode()).hexdigest()

    @property
    def description(self) -> str:
        return "; ".join(choice.description for choice in self.choices)


Choice = text_corpus.Choice | raw_data.Choice | ledger_source.Choice | Joined


def is_known(corpus: object) -> bool:
    """Whether this is a kind, or several joined by "+"."""
    return isinstance(corpus, str) and all(kind in KINDS for kind in corpus.split("+"))


def choose(corpus: str, raw: Path | None = None) -> Choice:
    """What a task of this corpus is made from; it has `fingerprint` and `description`. Raises ValueError."""
    kinds = corpus.split("+")
    if len(kinds) > 1:
        return Joined(tuple(choose(kind, raw) for kind in kinds))
    return _MODULES[corpus].choose(corpus, raw)


def files(choice: Choice) -> tuple[Path, ...]:
    """Files and folders that candidate code must not reach, since they hold labels: what is read, and its like."""
    if isinstance(choice, Joined):
        return tuple(path for part in choice.choices for path in files(part))
    if isinstance(choice, raw_data.Choice):
        return choice.secret
    if isinstance(choice, ledger_source.Choice):
        return choice.files
    return tuple(path for path in (choice.path,) if path is not None)


def variable(corpus: str) -> str:
    """The environment variables that name the raw data, in words."""
    own = {**text_corpus.VARIABLES, ledger_source.KIND: ledger_source.VARIABLE}
    names = (own.get(kind, raw_data.VARIABLE) for kind in corpus.split("+"))
    return " and ".join(dict.fromkeys(names))
