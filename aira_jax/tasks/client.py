"""How evaluate.py is called, and what it answers: for the search, for a fit by hand and for the self-test."""

import dataclasses
import json
import math
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aira_jax.tasks.evaluation import MARKER, Isolation, Split, Stage

RESULT_FILE = "result.json"
PREDICTIONS = "predictions"  # in a work directory: what fit writes and score reads
RESULT_BYTES = 4 * 2**20
RESULT_DEPTH = 32  # a program may nest its result deeper than our functions can follow
RESULT_BLOCK = re.compile(rf"{MARKER}\s*(\{{[\s\S]*?\}})")


@dataclasses.dataclass(frozen=True)
class Call:
    """One run of `script`, an evaluate.py, in a work directory that holds the submission and ./data.

    `upstream`: it has the original command line, one flag and no more.
    """

    script: Path
    artifact: str
    profile: str
    split: Split | str
    stage: Stage | str = Stage.ALL
    seed: int = 0
    limit_s: float | None = None
    train_limit_s: float | None = None
    upstream: bool = False
    isolation: Isolation | None = None

    @property
    def argv(self) -> tuple[str, ...]:
        flags: dict[str, object] = {"submission-file": self.artifact}
        if not self.upstream:
            flags |= {"split": self.split, "stage": self.stage, "workdir": PREDICTIONS, "seed": self.seed}
            flags |= {"profile": self.profile, "result-file": RESULT_FILE}
            flags |= {} if self.limit_s is None else {"time-limit-s": f"{self.limit_s:g}"}
            flags |= {} if self.train_limit_s is None else {"train-limit-s": f"{self.train_limit_s:g}"}
            flags |= {} if self.isolation is None else {"isolation": self.isolation}
        words = (word for name, value in flags.items() for word in (f"--{name}", str(value)))
        return (sys.executable, str(self.script), *words)


def read_result(path: Path) -> dict[str, Any] | None:
    """The result object, None when there is no readable one. A program that nobody trusts may have written it."""
    try:
        if path.is_symlink() or path.stat().st_size > RESULT_BYTES:
            return None
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and _is_flatter_than(value, RESULT_DEPTH) else None


def message(result: Mapping[str, Any] | None) -> str:
    """What a result says of a failure, empty where it says nothing that can be read."""
    told = (result or {}).get("message")
    return told if isinstance(told, str) else ""


def printed_value(output: str, metric: str) -> float | None:
    """The metric in the last result block of what an evaluator printed, None without a finite one."""
    blocks = RESULT_BLOCK.findall(output)
    try:
        value = json.loads(blocks[-1])[metric]
        return float(value) if math.isfinite(value) else None
    except (IndexError, KeyError, TypeError, ValueError, OverflowError):
        return None


def _is_flatter_than(value: Any, depth: int) -> bool:
    """Whether fewer than `depth` JSON containers lie within each other; the recursion ends there."""
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return depth > 0 and all(_is_flatter_than(item, depth - 1) for item in items if isinstance(item, dict | list))
