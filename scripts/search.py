"""Starts or resumes a search: an agent on a task, under a budget. See configs/search.py for what can be chosen.

    python scripts/search.py --config=configs/search.py:demo --workdir=runs

Exit codes: 0 done, 1 defect, 2 bad input, 3 stopped by the LLM (run again to continue), 4 damaged log, 130 interrupted.
The last line printed is the path of the report.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from aira_jax.core import cli, config_flag

CONFIG = config_flag.define(Path(__file__).parents[1] / "configs" / "search.py")
WORKDIR = flags.DEFINE_string("workdir", "runs", "Where runs lie.")
TRUNCATE = flags.DEFINE_integer(
    "truncate_at_seq", None, "Continue a branch copy that holds the records before this one.", lower_bound=1
)


def main(argv: Sequence[str]) -> int:
    from aira_jax.reports import terminal
    from aira_jax.reports.run import derived
    from aira_jax.search import run
    from aira_jax.search.log.events import DamagedLog

    try:
        finished = run.search(
            CONFIG.value,
            WORKDIR.value,
            truncate_at_seq=TRUNCATE.value,
            observe=lambda folder: [terminal.observer(folder)] if CONFIG.value.display.terminal == "auto" else [],
        )
    except DamagedLog as error:
        print(f"error: {error}", file=sys.stderr)
        return cli.Exit.DAMAGED_LOG
    if finished.exit:
        print(f"stopped ({finished.stopped.reason}): {finished.stopped.detail}", file=sys.stderr)
    print(derived.rebuild(finished.folder))
    return finished.exit


if __name__ == "__main__":
    cli.run(main)
