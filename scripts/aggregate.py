"""From the patterns that many runs found to one base pattern: select voters, then vote layer by layer.

python scripts/aggregate.py --runs=runs --method=n0 --clusters=3 --json
python scripts/aggregate.py --runs=runs --profile=paper --weights=rank_decay --clusters=0

Every task among the runs counts the same. Patterns are ranked by their test scores if at least half of them have one,
else by validation; `--score` decides it. What else the selectors and methods elect is listed under `outcomes`.
"""

import json
import sys

from absl import flags

from aira_jax.compose import election
from aira_jax.compose.ranking import Accuracy, Score
from aira_jax.core import cli
from aira_jax.core.choices import member
from aira_jax.runs import collect

_RUNS = flags.DEFINE_list("runs", None, "Run directories, or folders that hold some.", required=True)
_METHOD = flags.DEFINE_string("method", "n0", "n0, n1, nall, or n<c>: how many chosen layers a vote looks back at.")
_CLUSTERS = flags.DEFINE_integer(
    "clusters", None, "The best of so many k-means clusters votes; 0: all; default: 3, or fewer for few patterns."
)
_TOP_K = flags.DEFINE_integer("top_k", 0, "Only the so many best vote; 0: all.")
_WEIGHTS = flags.DEFINE_enum("weights", "", ["", "rank_decay"], "Weights of the votes; default: equal.")
_MULTIPLICITY = flags.DEFINE_bool("multiplicity", False, "A pattern votes as often as it was proposed.")
_SCORE = flags.DEFINE_string("score", "auto", "auto, test or validation.")
_ACCURACY = flags.DEFINE_string("accuracy", "micro", "micro, or macro (the mean over classes) where MAD ranks.")
_TASK = flags.DEFINE_string("task", "", "Only runs on this task.")
_PROFILE = flags.DEFINE_string("profile", "", "Only runs at this preset.")
_LAYERS = flags.DEFINE_integer("layers", 0, "Only patterns of so many layers; 0: all.")
_JSON = flags.DEFINE_bool("json", False, "Print one JSON object: pattern, shares, members, outcomes, ...")


def main(_):
    collection = collect.collect(_RUNS.value)
    for run in collection.skipped:
        print(f"skipped {run.path}: {run.reason}", file=sys.stderr)
    chosen = election.ElectionOptions(
        method=_METHOD.value,
        clusters=_CLUSTERS.value,
        top_k=_TOP_K.value or None,
        rank_decay=_WEIGHTS.value == "rank_decay",
        multiplicity=_MULTIPLICITY.value,
        score=member(Score, _SCORE.value, "score"),
        accuracy=member(Accuracy, _ACCURACY.value, "accuracy"),
        task=_TASK.value,
        preset=_PROFILE.value,
        layers=_LAYERS.value or None,
    )
    base = election.base_pattern(collection, chosen)
    print(f"ranked by {base.ranked_by}: {base.coverage}", file=sys.stderr)
    print(json.dumps(base.to_json()) if _JSON.value else base.to_text())


if __name__ == "__main__":
    cli.run(main)
