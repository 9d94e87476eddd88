"""Why a candidate's model.py did not become a score: one class per cause, and a message that says how to mend it."""

import enum
from typing import Any


class Kind(enum.StrEnum):
    """Classes of failure, in the order in which they can happen."""

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


class CandidateFault(Exception):
    """The candidate is at fault. `details` is JSON data for the report, for example {"line": 3}."""

    def __init__(self, kind: Kind, message: str, **details: Any):
        super().__init__(f"{kind}: {message}")
        self.kind, self.message, self.details = kind, message, details
