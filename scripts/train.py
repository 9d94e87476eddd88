"""Pretrains a language model of any pattern. The same command continues a run that was interrupted.

    python scripts/train.py --config=configs/pretrain.py:debug --workdir=runs/debug
    python scripts/train.py --config=configs/pretrain.py:1b,arch=airahybrid_d_str --workdir=W --config.data.path=DIR

Another number of steps, mesh or microbatch continues the run; another model, batch or data is refused, and the keys
that differ are listed. Several processes: scripts/launch.sh.

The last line printed is one JSON object, W/result.json: status, sizes, losses, rates and what the run was made of.
Every update is a line of W/metrics.jsonl. See configs/pretrain.py for what can be chosen.

Exit codes: 0 completed, 1 defect, 2 bad input, 5 diverged, 75 stopped by a signal (saved; run again to continue),
130 the same by Ctrl-C.
"""

import json
import logging
import signal
from pathlib import Path

from absl import flags

from aira_jax.core import cli, config_flag

_CONFIG = config_flag.define(Path(__file__).parents[1] / "configs" / "pretrain.py")
_WORKDIR = flags.DEFINE_string("workdir", "runs/pretrain", "Folder of the run.")


def main(_):
    from aira_jax.pretrain import processes
    from aira_jax.pretrain.settings import Settings
    from aira_jax.pretrain.train import train

    processes.join()

    logging.getLogger("absl").setLevel(logging.WARNING)  # Orbax tells every file that it writes
    result = train(Settings.of(_CONFIG.value), Path(_WORKDIR.value), lambda line: print(line, flush=True))
    print(json.dumps(result))
    match result["status"]:
        case "preempted":
            return cli.Exit.INTERRUPTED if result["signal"] == signal.SIGINT else cli.Exit.PREEMPTED
        case "diverged":
            return cli.Exit.DIVERGED
    return cli.Exit.DONE


if __name__ == "__main__":
    cli.run(main)
