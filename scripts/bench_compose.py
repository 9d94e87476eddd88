"""Times the arithmetic part of AIRA-Compose: its scripts from start to end, aggregation, Bayesian proposals.

python scripts/bench_compose.py --patterns=2500
"""

import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from absl import flags

from aira_jax.compose.aggregate import METHODS, aggregate, outcomes
from aira_jax.compose.voters import rank
from aira_jax.controls import bo
from aira_jax.controls.trials import Region, Trial
from aira_jax.core import cli
from aira_jax.patterns import PRIMITIVES

_PATTERNS = flags.DEFINE_integer("patterns", 2500, "Patterns of 16 layers to aggregate.", lower_bound=50)

_SCRIPTS = {
    "zoo.py": [],
    "isoflop_table.py": ["--space=3"],
    "extrapolate.py": ["--pattern=2A-5M-2A-3M-A-3M", "--method=stretch", "--space=2", "--scale=1B"],
}


def main(argv):
    del argv
    for script, arguments in _SCRIPTS.items():
        command = [sys.executable, Path(__file__).with_name(script), *arguments]
        _report(script, lambda c=command: subprocess.run(c, check=True, stdout=subprocess.DEVNULL))
    rng = random.Random(0)
    patterns = ["".join(rng.choices(PRIMITIVES, k=16)) for _ in range(_PATTERNS.value)]
    scores = [rng.gauss(0.5, 0.1) for _ in patterns]
    for method in METHODS:
        _report(f"aggregate {method}", lambda m=method: aggregate(patterns, scores, method=m))
    _report("every outcome", lambda: outcomes([rank(patterns, scores)]))
    for primitives in (PRIMITIVES[:2], PRIMITIVES):
        region = Region(primitives, 16)
        draws = np.random.default_rng(0)
        trials = [Trial(p, len(p.runs()) + draws.standard_normal()) for p in (region.sample(draws) for _ in range(100))]
        _report(f"bo, 100 x {'/'.join(primitives)}", lambda r=region, t=trials, g=draws: bo.propose(r, t, (), g))


def _report(name, call):
    call()  # imports
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    print(f"{name:18} median {sorted(seconds)[2]:.3f} s, worst {max(seconds):.3f} s of 5")


if __name__ == "__main__":
    cli.run(main)
