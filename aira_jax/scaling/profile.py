"""From a config (configs/latency.py) to a table of block latencies: timed now on the device at hand.

Importing this needs no jax.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from aira_jax.compose import dims as dims_lib
from aira_jax.compose.dims import Dims
from aira_jax.compose.flops import layer_counts
from aira_jax.core.choices import member
from aira_jax.scaling.latency import BlockTable, Mode

MEASURES = ("batch", "length", "ssd", "dtype", "warmup", "runs")


def sizes(config: Mapping[str, Any]) -> Dims:
    """The sizes of the blocks: those of a scale and space, or the config's own. Raises ValueError for unknown names."""
    dims = dims_lib.get(config["scale"], config["space"])
    own = {name: value for name, value in config["dims"].items() if value}
    return dataclasses.replace(dims, name=f"{dims.name}, own sizes", **own) if own else dims


def timed(config: Mapping[str, Any], patterns: Iterable[str] = ()) -> BlockTable:
    """Times one block of each primitive. Raises ValueError before the first for a bad name, size or pattern."""
    dims, mode = sizes(config), member(Mode, config["mode"], "mode")
    for text in patterns:
        layer_counts(text, dims.space)
    from aira_jax.primitives.attention import AttentionImpl  # jax is started for timing only
    from aira_jax.scaling import blocks

    attention = member(AttentionImpl, config["attention"], "attention")
    return blocks.profile(dims, mode=mode, attention=attention, **{name: config[name] for name in MEASURES})
