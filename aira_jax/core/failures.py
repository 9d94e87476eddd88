"""Why a candidate did not become a score: one vocabulary for sandbox, evaluators, training and reports."""

import enum


class Failure(enum.StrEnum):
    """Classes of failure. The harness's own come last; all others are the candidate's.

    A finer cause is a detail beside the class (`init`, `config`, `preflight`, ...), never a class of its own.
    """

    TIMEOUT = "timeout"
    OOM = "oom"
    SYNTAX = "syntax"
    IMPORT = "import"
    INTERFACE = "interface"
    SHAPE = "shape"
    NAN = "nan"
    EXIT = "exit"
    PARSE = "parse"
    LLM = "llm"
    TAMPER = "tamper"
    INFRA = "infra"


OF_THE_PROGRAM = (
    Failure.TIMEOUT,
    Failure.OOM,
    Failure.SYNTAX,
    Failure.IMPORT,
    Failure.INTERFACE,
    Failure.SHAPE,
    Failure.NAN,
    Failure.EXIT,
)
"""What an evaluator, which nobody trusts, may say of a candidate."""
