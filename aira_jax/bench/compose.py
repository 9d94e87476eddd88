"""The arithmetic part of AIRA-Compose: its commands from start to end, aggregation, Bayesian proposals."""

import random
import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np

from aira_jax.compose.aggregate import METHODS, aggregate, outcomes
from aira_jax.compose.voters import rank
from aira_jax.controls import bo
from aira_jax.controls.trials import Region, Trial
from aira_jax.patterns import tokens
from kernels_pallas.common.timing import interleaved, median

ROUNDS = 5
COMMANDS = (
    ("zoo",),
    ("isoflop_table", "--space=3"),
    ("extrapolate", "--pattern=2A-5M-2A-3M-A-3M", "--method=stretch", "--space=2", "--scale=1B"),
)


def measured(patterns: int) -> Iterator[dict]:
    """One row per call, with `patterns` patterns of 16 layers to aggregate: median and worst of five, in seconds."""
    for name, call in _calls(patterns):
        found = interleaved({name: call}, ROUNDS)[name]
        yield {"what": name, "median_s": median(found).wall, "worst_s": max(seconds.wall for seconds in found)}


def _calls(count: int) -> Iterator[tuple[str, Callable[[], object]]]:
    for verb, *flags in COMMANDS:
        command = [sys.executable, "-m", "aira_jax", verb, *flags]
        yield verb, lambda c=command: subprocess.run(c, check=True, stdout=subprocess.DEVNULL) and None
    rng = random.Random(0)
    patterns = ["".join(rng.choices(tokens(), k=16)) for _ in range(count)]
    scores = [rng.gauss(0.5, 0.1) for _ in patterns]
    for method in METHODS:
        yield f"aggregate {method}", lambda m=method: aggregate(patterns, scores, method=m)
    yield "every outcome", lambda: outcomes([rank(patterns, scores)])
    for primitives in (tokens()[:2], tokens()):
        region = Region(primitives, 16)
        draws = np.random.default_rng(0)
        trials = [Trial(p, len(p.runs()) + draws.standard_normal()) for p in (region.sample(draws) for _ in range(100))]
        yield f"bo, 100 x {'/'.join(primitives)}", lambda r=region, t=trials, g=draws: bo.propose(r, t, (), g)
