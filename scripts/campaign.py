"""The whole way from runs to models: collect, rank, aggregate, extrapolate, parameters, FLOPs, steps, one report.

python scripts/campaign.py --runs=runs --out=campaign
python scripts/campaign.py --runs=runs/first,runs/second --out=campaign --profile=paper --clusters=3 --method=n1

Prints every stage. Below --out: report.html (one file, opens without a network), plots/*.png and *.svg,
campaign.json (all numbers) and candidates.jsonl (the collected rows).
"""

from absl import flags

from aira_jax.compose import pipeline
from aira_jax.compose.election import ElectionOptions
from aira_jax.compose.extrapolate import Method
from aira_jax.compose.ranking import Accuracy, Score
from aira_jax.core import cli
from aira_jax.core.choices import member
from aira_jax.reports.campaign import report, words
from aira_jax.runs import collect

_RUNS = flags.DEFINE_list("runs", None, "Run directories, or folders that hold some.", required=True)
_OUT = flags.DEFINE_string("out", None, "Folder of the report.", required=True)
_METHOD = flags.DEFINE_string("method", "n0", "n0, n1, nall, or n<c>: how many chosen layers a vote looks back at.")
_CLUSTERS = flags.DEFINE_integer(
    "clusters",
    None,
    "The best of so many k-means clusters votes; default: 3, or fewer for few patterns.",
    lower_bound=1,
)
_EXTRAPOLATE = flags.DEFINE_string("extrapolate", None, "stretch or stack; default: what the length of the base asks.")
_SCORE = flags.DEFINE_string("score", "auto", "auto, test or validation.")
_ACCURACY = flags.DEFINE_string("accuracy", "micro", "micro, or macro (the mean over classes) where MAD ranks.")
_TASK = flags.DEFINE_string("task", "", "Only runs on this task.")
_PROFILE = flags.DEFINE_string("profile", "", "Only runs at this preset.")
_LAYERS = flags.DEFINE_integer("layers", 0, "Only patterns of so many layers; 0: all.")


def main(_):
    collection = collect.collect(_RUNS.value)
    say(words.collected(collection))
    choice = ElectionOptions(
        method=_METHOD.value,
        score=member(Score, _SCORE.value, "score"),
        accuracy=member(Accuracy, _ACCURACY.value, "accuracy"),
        task=_TASK.value,
        preset=_PROFILE.value,
        layers=_LAYERS.value or None,
    )
    method = member(Method, _EXTRAPOLATE.value, "method") if _EXTRAPOLATE.value else None
    found = pipeline.follow(collection, choice, clusters=_CLUSTERS.value, method=method)
    say(words.elected(found))
    say(words.scaled(found))
    print(f"5  report       {report.write(found, _OUT.value)}")


def say(lines):
    for line in lines:
        print(line, flush=True)


if __name__ == "__main__":
    cli.run(main)
