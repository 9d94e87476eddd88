"""Which engine `engine="auto"` means: the measured winner for this backend and device, at the nearest task shape.

`engines.json` beside this file is written by `scripts/bench_proxy.py --update` only.
"""

import dataclasses
import functools
import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aira_jax.primitives.attention import AttentionImpl
from aira_jax.proxies.engines import Engine
from aira_jax.proxies.fidelity import Preset
from aira_jax.proxies.proxy_model import Setup

_LOG = logging.getLogger(__name__)
TABLE = Path(__file__).with_name("engines.json")


@dataclasses.dataclass(frozen=True)
class Choice:
    """A setup and, in words, where it comes from."""

    setup: Setup
    reason: str


def choose(name: str, preset: Preset, length: int, *, backend: str, device: str, table: Path = TABLE) -> Choice:
    """The setup for rows of `length` tokens at `preset`. `name`: "auto", an engine, or "engine:micro".

    Raises ValueError for an unknown name.
    """
    if name != "auto":
        return Choice(_named(name, preset, backend), "named by the caller")
    rows = [row for row in _rows(table) if row["backend"] == backend and row["device"] == device]
    if not rows:
        setup = Setup(
            Engine.UNROLLED, _divisor(preset.batch, 32 if backend == "cpu" else preset.batch), _attention(backend)
        )
        choice = Choice(setup, f"default: no measurement for {backend} {device}; scripts/bench_proxy.py makes one")
    else:
        row = min(rows, key=lambda row: _distance(row, preset, length))
        setup = Setup(Engine(row["engine"]), _divisor(preset.batch, row["micro"]), AttentionImpl(row["attention"]))
        choice = Choice(setup, f"measured at d {row['d']}, batch {row['batch']} x {row['length']}")
    _log_once(
        f"training layers of width {preset.d} on {preset.batch} x {length} tokens a step, "
        f"{choice.setup.micro} rows at a time, with the layer program {choice.setup.engine!s} ({choice.reason})"
    )
    return choice


def describe(setup: Setup) -> str:
    """For example `shared:32`: engine and rows per pass."""
    return f"{setup.engine}:{setup.micro}"


def _named(name: str, preset: Preset, backend: str) -> Setup:
    engine, _, micro = name.partition(":")
    known = [e.value for e in Engine]
    if engine not in known or (micro and not micro.isdigit()):
        raise ValueError(
            f"unknown engine {name!r}: use auto, or one of {', '.join(known)}, or for example {known[0]}:16"
        )
    return Setup(Engine(engine), _divisor(preset.batch, int(micro or 32)), _attention(backend))


def _attention(backend: str) -> AttentionImpl:
    return AttentionImpl.BLOCKED if backend == "cpu" else AttentionImpl.DENSE


def _divisor(batch: int, at_most: int) -> int:
    return max(n for n in range(1, batch + 1) if batch % n == 0 and n <= max(at_most, 1))


def _distance(row: dict[str, Any], preset: Preset, length: int) -> float:
    pairs = ((row["d"], preset.d), (row["batch"], preset.batch), (row["length"], length))
    return sum(abs(math.log(a / b)) for a, b in pairs)


def _rows(table: Path) -> Sequence[dict[str, Any]]:
    return json.loads(table.read_text())["rows"] if table.exists() else []


@functools.cache
def _log_once(message: str) -> None:
    _LOG.info(message)
