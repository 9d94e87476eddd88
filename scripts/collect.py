"""Folds the event logs of many runs into one table of patterns and scores, and says what every agent found.

python scripts/collect.py --runs=runs --out=candidates.jsonl
python scripts/collect.py --runs=runs/first,runs/second --json

The table is derived: it can be deleted and made again. Runs that cannot be read are listed and left out.
"""

import dataclasses
import json
import sys

from absl import flags

from aira_jax.compose import ranking, rows
from aira_jax.core import cli
from aira_jax.runs import collect

_RUNS = flags.DEFINE_list("runs", None, "Run directories, or folders that hold some.", required=True)
_OUT = flags.DEFINE_string("out", "candidates.jsonl", "Where the table is written; empty: nowhere.")
_JSON = flags.DEFINE_bool("json", False, "Print one JSON object: runs, skipped, agents.")


def main(_):
    collection = collect.collect(_RUNS.value)
    for run in collection.skipped:
        print(f"skipped {run.path}: {run.reason}", file=sys.stderr)
    if _OUT.value:
        rows.write_table(collection.rows, _OUT.value)
    reports = ranking.agents(collection.rows)
    if _JSON.value:
        tables = {"runs": collection.runs, "skipped": collection.skipped, "agents": reports}
        print(json.dumps({name: [dataclasses.asdict(item) for item in table] for name, table in tables.items()}))
        return
    for run in collection.runs:
        print(f"{run.rows:5} rows of {run.steps} steps, {run.tested} with a test score: {run.path} ({run.preset})")
    for report in reports:
        print(f"\n{report.agent} on {report.task}, {report.preset}")
        print(
            f"  {report.runs} runs, {report.steps} steps, {report.patterns} patterns "
            f"({report.unique_share:.0%} its own, {report.duplicate_rate:.1%} of the steps repeated one), "
            f"{report.evaluator_s:.0f} evaluator seconds"
        )
        for what in ("submitted", "explored"):
            print(f"  best {what}: {_told(getattr(report, f'best_{what}'))}")


def _told(best):
    if best is None:
        return "none"
    values = ", ".join(f"{name} {best[name]:.4f}" for name in ("validation", "test") if best[name] is not None)
    return f"{best['pattern']} ({values})"


if __name__ == "__main__":
    cli.run(main)
