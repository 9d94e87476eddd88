"""What every prepare.py and evaluate_prepare.py shares: the command line, data seeds, folders for labels."""

import argparse
import contextlib
import dataclasses
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from aira_jax.tasks.evaluation import EvaluatorError, Split

HIDDEN_SEED = "AIRA_JAX_HIDDEN_SEED"
"""The environment variable that replaces the public data seed. Candidates never see it; use 64 random bits."""


@dataclasses.dataclass(frozen=True)
class Arguments:
    """`raw` holds downloads of all tasks, `mount` receives the data, `log` (optional) holds a finished submission."""

    raw: Path
    mount: Path
    log: Path | None
    profile: str
    split: Split
    self_reported: bool


def parse(argv: Sequence[str] | None, *, profiles: Sequence[str]) -> Arguments:
    """Reads the flags. A missing directory ends the program with exit 1, a bad flag with exit 2."""
    parser = argparse.ArgumentParser(description="Prepares the data of one task.", allow_abbrev=False)
    add = parser.add_argument
    add("--global-shared-data-dir", type=Path, required=True, dest="raw", help="directory of raw data")
    add("--agent-data-mount-dir", type=Path, required=True, dest="mount", help="directory to write to")
    add("--agent-log-dir", type=Path, default=None, dest="log", help="directory that may hold a submission")
    add("--profile", choices=list(profiles), default="paper", help="fidelity, default: %(default)s")
    add(
        "--split", type=Split, choices=list(Split), default=Split.TEST, help="evaluate_prepare.py: labels of this split"
    )
    add("--self-reported", action="store_true", help="prepare.py: label the validation rows for the agent")
    flags = vars(parser.parse_args(argv))
    arguments = Arguments(**flags | {"split": Split(flags["split"])})
    for flag, path in (("--global-shared-data-dir", arguments.raw), ("--agent-data-mount-dir", arguments.mount)):
        _require_directory(flag, path)
    if arguments.log is not None:
        _require_directory("--agent-log-dir", arguments.log)
    return arguments


def _require_directory(flag: str, path: Path) -> None:
    if not path.is_dir():
        raise SystemExit(f"error: {flag}={path} is no directory; create it first")


class BadSeed(EvaluatorError, ValueError):
    """A hidden seed that is none: bad input where data are prepared, no fault of the candidate where it is scored."""


def data_seed(public: int) -> int:
    """The hidden seed if the environment holds one, else the public seed. Raises BadSeed."""
    text = os.environ.get(HIDDEN_SEED)
    if text is None:
        return public
    if not text.isascii() or not text.isdigit():
        raise BadSeed(f"{HIDDEN_SEED} must be a natural number, got {len(text)} characters that are none")
    return int(text)


def ending(write: Callable[[], None]) -> int:
    """Runs `write`; what is wrong with the raw data or their settings ends with a message and exit 2."""
    try:
        write()
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def copy_submission(arguments: Arguments, name: str) -> None:
    """Copies a finished submission from the log directory into the mount, if there is one."""
    if arguments.log is not None and (arguments.log / name).is_file():
        shutil.copyfile(arguments.log / name, arguments.mount / name)


@contextlib.contextmanager
def private(prefix: str) -> Iterator[Path]:
    """A temporary folder for labels, removed afterwards. No fit reads it, that of another evaluation neither."""
    root = private_root()
    root.mkdir(mode=0o700, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=root) as folder:
        yield Path(folder)


def private_root() -> Path:
    """Where they all lie, which every sandbox must hide from candidates."""
    return Path(tempfile.gettempdir()) / f"aira-jax-labels-{os.getuid()}"
