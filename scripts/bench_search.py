"""What the harness itself costs: seconds per node beside the proposer and the evaluation, and the time of a fold.

    python scripts/bench_search.py --nodes=20 --fold=500

A search with a proposer that answers at once and an evaluator that sleeps; the log is really written and synced, and
every execution really runs in the sandbox. Prints one JSON object: overhead_s per node (wall minus what the evaluator
slept, its interpreter start-up included), fold_s and fold_nodes.
"""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from aira_jax.core import cli

NODES = flags.DEFINE_integer("nodes", 20, "Nodes of the search.", lower_bound=1)
FOLD = flags.DEFINE_integer("fold", 500, "Nodes of the log that is folded.", lower_bound=1)
SLEEP = flags.DEFINE_float("sleep_s", 0.5, "What each evaluation sleeps.", lower_bound=0.0)


def main(argv: Sequence[str]) -> None:
    from aira_jax.bench import search as bench

    with tempfile.TemporaryDirectory() as folder:
        measured = bench.overhead(Path(folder), nodes=NODES.value, sleep_s=SLEEP.value)
        print(json.dumps({**measured, **bench.fold(Path(folder) / "fold", nodes=FOLD.value)}))


if __name__ == "__main__":
    cli.run(main)
