"""A function in a process of its own, for a limited time: compiled programs of a candidate may hang or crash there."""

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from aira_jax.core.failures import Failure
from aira_jax.tasks.evaluation import CandidateError, EvaluatorError, SubmissionError


def call(function: Callable[..., Any], *arguments: Any, limit_s: float) -> Any:
    """What function(*arguments) returns; both must be importable, that is, known to pickle.

    Raises: what an evaluation raises, as the function does; CandidateError (timeout) after `limit_s` seconds and (exit)
    where a signal ended the process; EvaluatorError for any other end.
    """
    context = multiprocessing.get_context("spawn")
    answer, inside = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(inside, function, arguments), daemon=True)
    with answer:
        process.start()
        inside.close()  # so that its end is heard
        try:
            return _received(answer, process, limit_s)
        finally:
            process.kill()
            process.join()


def _received(answer: Connection, process: multiprocessing.process.BaseProcess, limit_s: float) -> Any:
    if not answer.poll(limit_s):
        raise CandidateError(Failure.TIMEOUT, f"not done within {limit_s:g} s")
    try:
        raised, value = answer.recv()
    except EOFError:
        process.join()
        if (code := process.exitcode or 0) < 0:
            text = f"signal {-code} ended the process that trained and questioned the programs"
            raise CandidateError(Failure.EXIT, text) from None
        raise EvaluatorError(f"the scoring ended with exit code {code}; its traceback stands above") from None
    if raised:
        raise value
    return value


def _answer(inside: Connection, function: Callable[..., Any], arguments: tuple) -> None:
    try:
        inside.send((False, function(*arguments)))
    except (CandidateError, EvaluatorError, SubmissionError) as error:
        inside.send((True, error))
