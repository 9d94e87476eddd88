"""Scores a finished run on the test split, on an account of its own.

    python scripts/score_tests.py --run=runs/<task>/<agent>/seed_0 --when=after_all

Prints one JSON object per scored node, then the path of the report.
"""

import json
import sys
from collections.abc import Sequence

from absl import flags

from aira_jax.core import cli

RUN = flags.DEFINE_string("run", None, "Run directory: W/<task>/<agent>/seed_<k>.", required=True)
WHEN = flags.DEFINE_enum(
    "when", "", ["", "submitted", "after", "after_all"], "Which nodes (default: as config.test.when of the run)."
)
REPEATS = flags.DEFINE_integer(
    "repeat_winner", None, "Further evaluator seeds of the submitted node (default: config.test).", lower_bound=0
)
TASK = flags.DEFINE_string("task", "", "Where the run's task lies now, if its folder moved.")


def main(argv: Sequence[str]) -> int:
    from aira_jax.reports.run import derived
    from aira_jax.search.engine import scoring
    from aira_jax.search.log import events
    from aira_jax.search.log.heldout import TestScores

    try:
        done = scoring.score_run(RUN.value, when=WHEN.value, repeats=REPEATS.value, task=TASK.value)
    except events.DamagedLog as error:
        print(f"error: {error}", file=sys.stderr)
        return cli.Exit.DAMAGED_LOG
    for node, score in sorted(TestScores.fold(events.read(RUN.value)).scores.items()):
        print(json.dumps({"node": node, "value": score.value, "status": score.status, "repeats": score.repeats}))
    print(derived.rebuild(RUN.value))
    if not done:
        print("interrupted; run the same command again to score the rest", file=sys.stderr)
    return cli.Exit.DONE if done else cli.Exit.INTERRUPTED


if __name__ == "__main__":
    cli.run(main)
