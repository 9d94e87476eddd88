"""prepare.py and evaluate_prepare.py of the Compose tasks: the data of every proxy that a task scores on."""

from collections.abc import Callable, Sequence
from pathlib import Path

from aira_jax.tasks import preparation
from aira_jax.tasks.compose import proxies
from aira_jax.tasks.compose.proxies import Proxy
from aira_jax.tasks.compose.space import SUBMISSION


def prepare(folder: Path, argv: Sequence[str] | None = None) -> int:
    """prepare.py: writes what the agent may see. Returns the exit code."""
    return _prepared(folder, argv, lambda proxy, arguments, part: proxy.write_agent(arguments, part))


def evaluate_prepare(folder: Path, argv: Sequence[str] | None = None) -> int:
    """evaluate_prepare.py: writes what only the evaluator may see of one split."""
    return _prepared(folder, argv, lambda proxy, arguments, part: proxy.write_labels(arguments, part), handed_in=True)


def _prepared(
    folder: Path,
    argv: Sequence[str] | None,
    write: Callable[[Proxy, preparation.Arguments, str], None],
    *,
    handed_in: bool = False,
) -> int:
    asked = proxies.of(folder)
    arguments = preparation.parse(argv, profiles=asked.profiles)

    def run() -> None:
        for part, proxy in proxies.parts(asked).items():
            write(proxy, arguments, part)
        if handed_in:
            preparation.copy_submission(arguments, SUBMISSION)

    return preparation.ending(run)
