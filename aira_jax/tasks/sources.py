"""The raw data behind a task, by the key `corpus` of its metadata.yaml: one place that knows every kind."""

from pathlib import Path

from aira_jax.tasks import lra_source, text_corpus

KINDS = (*text_corpus.VARIABLES, *lra_source.TASKS)


def choose(kind: str, raw: Path | None = None) -> text_corpus.Choice | lra_source.Choice:
    """What a task of this corpus is made from; it has `fingerprint` and `description`. Raises ValueError."""
    return (text_corpus if kind in text_corpus.VARIABLES else lra_source).choose(kind, raw)


def files(choice: text_corpus.Choice | lra_source.Choice) -> tuple[Path, ...]:
    """Files and folders that are read: candidate code must not reach them, since they hold labels."""
    if isinstance(choice, lra_source.Choice):
        return choice.files
    return tuple(path for path in (choice.path,) if path is not None)


def variable(kind: str) -> str:
    """The environment variable that names the raw data of a kind."""
    return text_corpus.VARIABLES.get(kind, lra_source.VARIABLE)
