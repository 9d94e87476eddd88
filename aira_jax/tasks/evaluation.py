"""What every evaluate.py shares: its command line, its exit codes, the result block and the result file.

The import is cheap on purpose: the static check of a submission must answer within a fraction of a second.
"""

import argparse
import contextlib
import dataclasses
import enum
import json
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from aira_jax.core.failures import Failure
from aira_jax.core.files import write_json
from aira_jax.core.text import visible

SHOWN = 20_000  # characters of a message on the terminal: a candidate may have written it
MARKER = "--- EVALUATION RESULT ---"


class Split(enum.StrEnum):
    VALIDATION = "validation"
    TEST = "test"


class Stage(enum.StrEnum):
    """CHECK looks at the submission only. FIT trains and SCORE scores where a task keeps the two apart."""

    ALL = "all"
    CHECK = "check"
    FIT = "fit"
    SCORE = "score"


class Isolation(enum.StrEnum):
    """How a task whose candidates are code keeps that code away from its training.

    PROGRAMS: it runs once, without data, to export programs; a process that never imports it trains and predicts.
    PROCESS: it trains and predicts itself in a sandbox, and its answers are believed.
    """

    PROGRAMS = "programs"
    PROCESS = "process"


class Exit(enum.IntEnum):
    SCORED = 0
    DEFECT = 1  # of the evaluator or its data, never the candidate's
    INVALID = 2
    FAILED = 3  # the candidate, while it trained


class SubmissionError(ValueError):
    """The submission does not keep the contract of its task: exit 2."""

    def __init__(self, message: str, *, failure: Failure = Failure.INTERFACE, extra: Mapping[str, Any] | None = None):
        super().__init__(message)
        self.failure, self.extra = failure, dict(extra or {})

    def __reduce__(self):
        return _again, (type(self), self.failure, str(self), self.extra)


class CandidateError(Exception):
    """A valid submission that failed while it trained: exit 3."""

    def __init__(self, failure: Failure, message: str, extra: Mapping[str, Any] | None = None):
        super().__init__(message)
        self.failure, self.extra = failure, dict(extra or {})

    def __reduce__(self):
        return _again, (type(self), self.failure, str(self), self.extra)


def _again(kind: type, failure: Failure, message: str, extra: Mapping[str, Any]) -> Exception:
    """What pickle makes an error from."""
    return kind(failure=failure, message=message, extra=extra)


class EvaluatorError(Exception):
    """The evaluation itself cannot be done, for example because its data are missing: exit 1."""


@dataclasses.dataclass(frozen=True)
class Arguments:
    """The flags of evaluate.py. `seed` is the evaluator's, not that of the data.

    `train_limit_s` is what of `time_limit_s` the updates may take where the stage score trains.
    """

    submission: Path
    split: Split
    stage: Stage
    workdir: Path
    seed: int
    profile: str
    time_limit_s: float | None
    train_limit_s: float | None
    result_file: Path | None
    data_dir: Path
    isolation: Isolation


@dataclasses.dataclass(frozen=True)
class Score:
    """A finite value of the metric and how it came about. Seconds; `curve` is [[x, y], ...]; `extra` is JSON data.

    The stage fit has no value yet: NaN.
    """

    value: float
    train_s: float = 0.0
    device_s: float = 0.0
    n_params: int | None = None
    steps: int | None = None
    curve: Sequence[Sequence[float | None]] = ()
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def run(
    metric: str,
    *,
    submission: str,
    profiles: Sequence[str],
    check: Callable[[Path], Any],
    score: Callable[[Arguments, Any], Score],
    fit: Callable[[Arguments, Any], Score] | None = None,
    argv: Sequence[str] | None = None,
) -> int:
    """Evaluates one submission and returns the exit code.

    `check` reads the submission or raises SubmissionError; `score` gets what it returned. `fit` is the stage fit of a
    task whose candidates are code; such a task's `score` serves the stages all and score. `submission` is the default
    file name.
    """
    arguments = parse(argv, submission=submission, profiles=profiles)
    report = Report(metric, arguments)
    with report.blaming_the_evaluator():
        try:
            candidate = check(arguments.submission)
            if arguments.stage is Stage.CHECK:
                return report.passed()
            bounded = arguments.stage is not Stage.ALL or fit is None  # else only its fit is, by the sandbox
            with report.deadline() if bounded else contextlib.nullcontext():
                if arguments.stage is Stage.FIT and fit is not None:
                    return report.fitted(fit(arguments, candidate))
                result = score(arguments, candidate)
                if not math.isfinite(result.value):
                    raise CandidateError(Failure.NAN, f"{metric} is {result.value}", result.extra)
            return report.scored(result)
        except SubmissionError as error:
            return report.failed(Exit.INVALID, error.failure, str(error), error.extra)
        except CandidateError as error:
            return report.failed(Exit.FAILED, error.failure, str(error), error.extra)
        except EvaluatorError as error:
            return report.failed(Exit.DEFECT, Failure.INFRA, str(error))


def parse(argv: Sequence[str] | None, *, submission: str, profiles: Sequence[str]) -> Arguments:
    """Reads the flags; a bad one ends the program with exit 2."""
    parser = argparse.ArgumentParser(description="Scores one submission.", allow_abbrev=False)
    add = parser.add_argument
    add("--submission-file", type=Path, default=Path(submission), dest="submission", help="default: %(default)s")
    add("--split", choices=[*map(str, Split)], default="test", help="which targets to score on")
    add("--stage", choices=[*map(str, Stage)], default="all", help="how much of the evaluation to do")
    add("--workdir", type=Path, default=Path(), help="where fit leaves what score reads")
    add("--seed", type=_natural, default=0, help="seed of initialisation and shuffling")
    add("--profile", choices=list(profiles), default="paper", help="fidelity, default: %(default)s")
    add("--time-limit-s", type=_positive, default=None, help="give up after so many seconds")
    add("--train-limit-s", type=_positive, default=None, help="of it, for the updates of a training")
    add("--result-file", type=Path, default=None, help="write all details to this JSON file")
    add("--data-dir", type=Path, default=Path("data"), help="the prepared data, default: ./%(default)s")
    add("--isolation", choices=[*map(str, Isolation)], default="programs", help="of candidates that are code")
    flags = vars(parser.parse_args(argv))
    kinds = {"split": Split, "stage": Stage, "isolation": Isolation}
    return Arguments(**flags | {name: kind(flags[name]) for name, kind in kinds.items()})


def _natural(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative, use 0 or more")
    return value


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no positive number of seconds")
    return value


class Report:
    """Says how an evaluation ended, exactly once."""

    def __init__(self, metric: str, arguments: Arguments):
        self._metric, self._arguments = metric, arguments
        self._start, self._once = time.monotonic(), threading.Lock()

    def passed(self) -> Exit:
        print(f"{self._arguments.submission.name} is valid", file=sys.stderr)
        self._write(None, None, "", Score(math.nan))
        return Exit.SCORED

    def fitted(self, score: Score) -> Exit:
        self._write(None, None, "", score)
        return Exit.SCORED

    def scored(self, score: Score) -> Exit:
        self._write(score.value, None, "", score)
        print(f"{MARKER}\n{json.dumps({self._metric: score.value}, allow_nan=False)}", flush=True)
        return Exit.SCORED

    def failed(self, code: Exit, failure: Failure, message: str, extra: Mapping[str, Any] | None = None) -> Exit:
        print(f"error: {visible(message[:SHOWN])}", file=sys.stderr, flush=True)
        self._write(None, failure, message, Score(math.nan, extra=extra or {}))
        return code

    @contextlib.contextmanager
    def deadline(self) -> Iterator[None]:
        """Ends the whole process when the time limit passes, also while the main thread waits for compiled code."""
        limit_s = self._arguments.time_limit_s
        if limit_s is None:
            yield
            return
        timer = threading.Timer(limit_s, self._expire, [limit_s])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            self._once.acquire()  # from here on the timer comes too late

    def _expire(self, limit_s: float) -> None:
        if self._once.acquire(blocking=False):
            os._exit(self.failed(Exit.FAILED, Failure.TIMEOUT, f"not done within --time-limit-s={limit_s:g}"))

    @contextlib.contextmanager
    def blaming_the_evaluator(self) -> Iterator[None]:
        """An unforeseen error is the evaluator's own: it is recorded as such and ends with its traceback and exit 1."""
        try:
            yield
        except Exception as error:
            self.failed(Exit.DEFECT, Failure.INFRA, f"{type(error).__name__}: {error}")
            raise

    def _write(self, value: float | None, failure: Failure | None, message: str, score: Score) -> None:
        path = self._arguments.result_file
        if path is None:
            return
        content = {
            "metric": self._metric,
            "value": value,
            "split": self._arguments.split,
            "stage": self._arguments.stage,
            "seed": self._arguments.seed,
            "profile": self._arguments.profile,
            "failure_class": failure,
            "message": message,
            "wall_s": round(time.monotonic() - self._start, 3),
            "train_s": score.train_s,
            "device_s": score.device_s,
            "n_params": score.n_params,
            "steps": score.steps,
            "curve": score.curve,
            "extra": score.extra,
        }
        write_json(path, content)
