"""Why a candidate's model.py did not become a score: a class of `core.failures`, a finer kind, and how to mend it."""

import enum
from collections.abc import Mapping
from typing import Any

from aira_jax.core.failures import Failure


class Kind(enum.StrEnum):
    """What went wrong, in the order in which it can happen."""

    SYNTAX = "syntax"  # Python cannot parse the file
    CONFIG = "config"  # module-level values: unreadable, contradictory or out of range
    MISSING_CLASS = "missing_class"  # the class is absent or no Flax Linen module
    IMPORT = "import"  # importing the file raises
    INTERFACE = "interface"  # fields, keywords or variable collections that the loop does not offer
    INIT = "init"  # making the parameters raises
    SHAPE = "shape"  # the output is not [batch, classes], floating
    OOM_PREFLIGHT = "oom_preflight"  # the compiled step needs more memory than there is
    OOM = "oom"
    NAN = "nan"
    TIMEOUT = "timeout"
    CRASH = "crash"  # everything else


CLASSES = {
    Kind.SYNTAX: Failure.SYNTAX,
    Kind.CONFIG: Failure.INTERFACE,
    Kind.MISSING_CLASS: Failure.INTERFACE,
    Kind.IMPORT: Failure.IMPORT,
    Kind.INTERFACE: Failure.INTERFACE,
    Kind.INIT: Failure.EXIT,
    Kind.SHAPE: Failure.SHAPE,
    Kind.OOM_PREFLIGHT: Failure.OOM,
    Kind.OOM: Failure.OOM,
    Kind.NAN: Failure.NAN,
    Kind.TIMEOUT: Failure.TIMEOUT,
    Kind.CRASH: Failure.EXIT,
}


class CandidateFault(Exception):
    """The candidate is at fault. `details` is JSON data for the report, for example {"line": 3}.

    `failure` is the class that the whole project knows, by default that of the kind; `kind` is the detail.
    """

    def __init__(self, kind: Kind, message: str, *, failure: Failure | None = None, **details: Any):
        super().__init__(f"{kind}: {message}")
        self.kind, self.message, self.details = kind, message, details
        self.failure = failure or CLASSES[kind]

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "message": self.message, "failure": self.failure, "details": self.details}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "CandidateFault":
        failure = Failure(values["failure"])
        return cls(Kind(values["kind"]), values["message"], failure=failure, **values["details"])
