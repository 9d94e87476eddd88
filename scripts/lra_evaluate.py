"""Scores a model.py on a Long Range Arena task by the task's own evaluator: trained in a sandbox, on unseen rows.

python scripts/lra_evaluate.py --task=listops --submission-file=model.py --split=validation --profile=smoke

--task is listops, text, retrieval, recall or needle, or the name of a task folder; the other flags are its own: --help.
"""

import sys

from aira_jax.tasks.lra.by_hand import main

if __name__ == "__main__":
    sys.exit(main())
