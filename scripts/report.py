"""Rebuilds everything derived in a run directory from its event log, and prints the path of the HTML report.

python scripts/report.py --run=runs/NeuralArchitectureSearchMAD2PrimitivesAccuracy/greedy-control.evolution/seed_0
python scripts/report.py --run=... --max_mb=2      a smaller file: longer texts are cut, with the missing count stated
"""

import sys

from absl import flags

from aira_jax.core import cli

DAMAGED_LOG = 4

_RUN = flags.DEFINE_string("run", None, "Run directory: <workdir>/<task>/<agent>/seed_<k>.", required=True)
_MAX_MB = flags.DEFINE_float("max_mb", 12.0, "Most candidates' and models' text in the report, in MB.", lower_bound=0.1)


def main(_):
    from aira_jax.reports.run import derived
    from aira_jax.search.log.events import DamagedLog

    try:
        print(derived.rebuild(_RUN.value, max_bytes=int(1e6 * _MAX_MB.value)))
    except DamagedLog as error:
        print(f"error: {error}", file=sys.stderr)
        return DAMAGED_LOG
    return None


if __name__ == "__main__":
    cli.run(main)
