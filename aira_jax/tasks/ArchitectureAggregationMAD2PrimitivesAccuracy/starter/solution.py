"""Measures the base of submission.csv, scaled, on the validation rows. Edit it, or aggregate the ledger here."""

import csv
from pathlib import Path

from aira_jax.compose import aggregation_task

SUBMISSION = Path("submission.csv")
if not SUBMISSION.exists():
    with Path("data/train/aggregates.csv").open(encoding="utf-8") as file:
        first = next(csv.DictReader(file))
    SUBMISSION.write_text(f"architecture,scaling\n{first['architecture']},{first['scaling']}\n", encoding="utf-8")
with SUBMISSION.open(encoding="utf-8") as file:
    (row,) = csv.DictReader(file)

accuracy = aggregation_task.train_and_score(row["architecture"], row["scaling"], data_dir="data")
print(f"validation Accuracy: {accuracy:.6f}")
