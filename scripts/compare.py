"""Compares two arms (an agent and a control, say) run by run: equal tasks, seeds and numbers of unique evaluations.

python scripts/compare.py --runs_a=runs/<task>/greedy-claude-opus-4-6 --runs_b=runs/<task>/greedy-control.random --json
python scripts/compare.py --runs_a=... --runs_b=... --confirm=5

Prints best-so-far curves, the area under them, paired differences with their intervals and Wilcoxon's test. A claim
needs ten pairs. `--confirm=k` trains the best k patterns of both arms again with three fresh data and evaluator seeds.
"""

import dataclasses
import json
import sys

from absl import flags

from aira_jax.compose import compare
from aira_jax.core import cli, files
from aira_jax.runs import collect, confirm

_A = flags.DEFINE_list("runs_a", None, "Runs of the first arm: run folders, or folders that hold some.", required=True)
_B = flags.DEFINE_list("runs_b", None, "Runs of the second arm.", required=True)
_CONFIRM = flags.DEFINE_integer("confirm", 0, "So many of the best of each arm are trained again.", lower_bound=0)
_CACHE = flags.DEFINE_string("cache_dir", None, "Results; default: $AIRA_JAX_CACHE or ~/.cache/aira_jax.")
_JSON = flags.DEFINE_bool("json", False, "Print one JSON object: pairs, differences, notes, confirmed.")


def main(_):
    arms = [collect.collect(folders) for folders in (_A.value, _B.value)]
    for run in (run for arm in arms for run in arm.skipped):
        print(f"skipped {run.path}: {run.reason}", file=sys.stderr)
    compared = compare.compare(*arms)
    again = _again(arms) if _CONFIRM.value else None
    if _JSON.value:
        print(json.dumps(files.finite({**compared.to_json(), "confirmed": again})))
        return
    print(compared.to_text())
    for name, found in (again or {}).items():
        for c in found:
            print(f"{name}: {c['pattern']}  test {c['mean']:.4f} [{c['low']:.4f}, {c['high']:.4f}] with fresh seeds")


def _again(arms):
    found = {
        name: confirm.confirm(arm.rows, confirm.evaluator(arm.rows[0], _CACHE.value), top=_CONFIRM.value)
        for name, arm in zip("AB", arms, strict=True)
    }
    return {name: [dataclasses.asdict(c) for c in confirmed] for name, confirmed in found.items()}


if __name__ == "__main__":
    cli.run(main)
