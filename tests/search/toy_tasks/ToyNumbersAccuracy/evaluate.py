"""Scores a number: the nearer to 0.75, the better. Has every stage and needs nothing but the standard library."""

import argparse
import json
import os
import pathlib
import re
import sys
import time


def main():
    parser = argparse.ArgumentParser()
    for name in ("submission-file", "split", "stage", "workdir", "profile", "time-limit-s", "result-file"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--seed", type=int, default=0)
    flags = parser.parse_args()
    code, result = evaluate(flags.submission_file, flags.stage, flags.split, flags.seed)
    pathlib.Path(flags.result_file).write_text(json.dumps(result))
    print(result["message"] or "ok")
    sys.exit(code)


def evaluate(path, stage, split, seed):
    """(exit code, result object) of a submission."""
    result = {"metric": "Accuracy", "value": None, "split": split, "failure_class": None, "message": ""}
    match = re.fullmatch(r"x=(-?\d+\.\d+)\n(.*)", pathlib.Path(path).read_text(), re.DOTALL)
    if match is None:
        return 2, result | {"failure_class": "interface", "message": "write x=<number> on the first line"}
    if stage == "check":
        return 0, result
    if "boom" in match[2]:
        return 3, result | {"failure_class": "exit", "message": "boom"}
    if match[2].startswith("sleep"):
        time.sleep(float(match[2].split()[1]))
    time.sleep(float(os.environ.get("XLA_TOY_SLEEP", 0)) * (abs(hash(match[1])) % 7) / 7)
    bonus = {"validation": 0.0, "test": -0.01}[split] + seed * 1e-4
    return 0, result | {"value": 1 - abs(float(match[1]) - 0.75) + bonus}


if __name__ == "__main__":
    main()
