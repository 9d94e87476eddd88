"""Speed of the long-range training loop. Results so far: lra/BENCHMARKS.md.

    python scripts/bench_lra.py                                          everything, about 5 minutes on 2 cores
    python scripts/bench_lra.py --parts=s5 --peer=CHECKOUT --rounds=5    against github.com/lindermanlab/S5, interleaved

s5        CPU seconds of a training step, 188 k parameters, 16 x 2000 tokens (target: at most 1.0 x the peer's own)
pipeline  share of a step that making its batch takes (target: under 5 %)
designs   updates and tokens per second of each design at its smoke profile
programs  a step by exported programs, which evaluations train, over one of the model itself (target: at most 1.03 x)
smoke     a whole smoke evaluation (target: under 90 s on 2 cores)

With --json the last line is one JSON object of all rows, with the environment they were measured in.
"""

import json
from pathlib import Path

from absl import flags

from aira_jax.core import choices, cli, machine

PARTS = flags.DEFINE_list("parts", ["s5", "pipeline", "designs", "programs", "smoke"], "Which measurements.")
ROUNDS = flags.DEFINE_integer("rounds", 5, "Calls of each step; the median counts.", lower_bound=1)
PEER = flags.DEFINE_string("peer", None, "Checkout of the S5 repository, timed in turn with ours.")
JSON = flags.DEFINE_bool("json", False, "Print one JSON object as the last line.")


def main(_):
    from aira_jax.bench import lra as suite
    from aira_jax.bench import table
    from lra import workdir

    for part in PARTS.value:
        choices.among("part", part, suite.PARTS)
    machine.keep_freed_pages()
    plan = suite.Plan(ROUNDS.value, Path(PEER.value) if PEER.value else None)
    found = {"environment": workdir.environment()}
    for part in PARTS.value:
        found[part] = suite.PARTS[part](plan)
        print(f"{part}\n{table.text(found[part])}\n", flush=True)
    if JSON.value:
        print(json.dumps(found))


if __name__ == "__main__":
    cli.run(main)
