"""Trains a model on a long-range task and scores it. The same command continues a run that was interrupted.

    python scripts/lra_train.py --model=model.py --task=listops --data=DIR --workdir=W --profile=smoke
    python scripts/lra_train.py --config=configs/lra.py:listops,encoder=transformer --data=DIR --workdir=W

A workdir that holds a run with other settings, another model.py or other data is refused; the keys that differ are
listed. --config.configurable=true lets the numbers at the top of model.py (LR, SEQ_LEN, ...) replace the profile's.

The last line printed is one JSON object: task, validation_accuracy, test_accuracy (null without labelled test rows),
steps, params, steps_per_s, tokens_per_s, peak_memory_bytes. The rest is in W/report.json and W/plots.

This is for your own experiments: model.py runs as you do, next to the labels of --data. Its process gets no API keys
from the environment, but it is no sandbox. Scores that count come from the task's evaluate.py (python -m lra.evaluate),
which hides the labels of the split that it scores.

Exit codes: 0 scored, 1 defect, 2 bad input, 3 the model failed (class and mend on stderr, and in W/failure.json once
W is there), 130 interrupted (saved; run again to continue).
"""

import json
import sys
from pathlib import Path

from absl import flags

from aira_jax.core import cli, config_flag
from lra import options, progress, supervise
from lra.failures import CandidateFault

CONFIG = config_flag.define(Path(__file__).parents[1] / "configs" / "lra.py")
MODEL = flags.DEFINE_string("model", None, "A model.py by path, a design or an encoder by name.")
TASK = flags.DEFINE_string("task", None, "listops, text, retrieval, recall or needle.")
PROFILE = flags.DEFINE_string("profile", None, "smoke or paper; recall and needle also length-1024 to length-8192.")
DATA = flags.DEFINE_string("data", None, "Folder written by scripts/lra_data.py.")
WORKDIR = flags.DEFINE_string("workdir", "runs/lra", "Folder of the run.")
CHECK = flags.DEFINE_bool("check", False, "Stop before the first update: contract, shapes, memory.")
FAILED = 3


def main(_):
    chosen = {"model": MODEL.value, "task": TASK.value, "profile": PROFILE.value}
    try:
        job = options.job_of(CONFIG.value, DATA.value, Path(WORKDIR.value), **chosen)
        show = progress.printer(job)
        result = supervise.run(job, on_row=show, check=CHECK.value)
    except CandidateFault as fault:
        print(f"model failed ({fault.kind}): {fault.message}", file=sys.stderr)
        return FAILED
    except supervise.Interrupted as stopped:
        print(f"{stopped}; the same command continues", file=sys.stderr)
        return cli.Exit.INTERRUPTED
    if "report" in result:
        print("\n".join(progress.ending(result["report"], job.workdir)))
    print(json.dumps(result.get("summary") or result["checked"]))
    return cli.Exit.DONE


if __name__ == "__main__":
    cli.run(main)
