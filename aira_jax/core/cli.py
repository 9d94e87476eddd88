"""How every script starts: flags are parsed, bad input ends with exit 2 and one message, `--debug` shows tracebacks."""

import enum
import logging
import os
import sys
from collections.abc import Callable, Sequence

from absl import app, flags


class Exit(enum.IntEnum):
    """Exit codes of all scripts."""

    DONE = 0
    DEFECT = 1
    BAD_INPUT = 2
    LLM_STOP = 3  # a search whose language model cannot go on
    DAMAGED_LOG = 4
    DIVERGED = 5  # a loss that is not finite
    PREEMPTED = 75  # saved; the same command continues
    INTERRUPTED = 130
    READER_GONE = 141  # 128 + SIGPIPE


_DEBUG = flags.DEFINE_bool("debug", False, "Show the traceback of an error in the input.")


def run(main: Callable[[Sequence[str]], int | None]) -> None:
    """Runs `main(argv)` and exits with what it returns. A ValueError is the user's: exit 2, its text on stderr.

    Ctrl-C before or after what `main` itself protects ends with exit 130, a reader that has gone away with 141.
    """

    def guarded(argv: Sequence[str]) -> int | None:
        if len(argv) > 1:
            return complain(f"unexpected argument {argv[1]!r}: flags are written --name=value (see --help)")
        try:
            code = main(argv)
            sys.stdout.flush()
            return code
        except ValueError as error:
            if _DEBUG.value:
                raise
            return complain(str(error))

    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # it tells at its first start that it lists fonts
    _make_streams_bearable()
    try:
        app.run(guarded, flags_parser=_parse)
    except BrokenPipeError:  # the reader has seen enough, as in `script | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(Exit.READER_GONE)
    except KeyboardInterrupt:
        print("interrupted; the same command starts or continues it", file=sys.stderr)
        sys.exit(Exit.INTERRUPTED)


def _make_streams_bearable() -> None:
    """A closed stream is written to nowhere, and a sign that the terminal's encoding lacks becomes `?`."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - for as long as the process lives
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _parse(argv: Sequence[str]) -> Sequence[str]:
    try:
        return flags.FLAGS(argv)
    except SystemExit:  # --help has been answered: absl calls that a failure
        sys.stdout.flush()
        sys.exit(0)
    except flags.Error as error:
        sys.exit(complain(f"{_last_line(error)} (see --help)"))


def _last_line(error: flags.Error) -> str:
    """The message without the traceback that a failing config file brings along."""
    text = str(error).strip()
    return text.splitlines()[-1].strip() if "Traceback" in text else text


def complain(message: str) -> int:
    """Prints a message for the user; returns the exit code of bad input."""
    print(f"error: {message}", file=sys.stderr)
    return Exit.BAD_INPUT
