"""Scores a submission: the share of test rows that are right."""

import argparse
import json

from utils import read

parser = argparse.ArgumentParser()
parser.add_argument("--submission-file", default="submission.csv")
arguments = parser.parse_args()
labels = [row["parity"] for row in read("./data/test_with_labels/rows.csv")]
try:
    answers = [row["parity"] for row in read(arguments.submission_file)]
except (OSError, KeyError) as error:
    parser.error(f"submission.csv: {error!r}")
if len(answers) != len(labels):
    parser.error(f"submission.csv: {len(answers)} rows, expected {len(labels)}")
right = sum(a == b for a, b in zip(answers, labels, strict=True))
print("\n--- EVALUATION RESULT ---")
print(json.dumps({"Accuracy": right / len(labels)}, indent=2))
