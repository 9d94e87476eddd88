"""Statistics over a folder of runs: valid runs, normalised scores, gaps, intervals; tables, plots and one HTML page.

python scripts/stats.py --runs=runs --out=statistics
python scripts/stats.py --runs=runs --out=statistics --profile=paper --hierarchical --compare=greedy-a,greedy-b

Below --out: report.html (one file, opens without a network), tables/*.csv, tables.md, plots/*.png and *.svg, and
statistics.json. The last line is the path of the report, with --json one JSON object.
"""

from absl import flags

from aira_jax.core import cli
from aira_jax.reports.statistics import words

_RUNS = flags.DEFINE_list("runs", None, "Run directories, or folders that hold some.", required=True)
_OUT = flags.DEFINE_string("out", None, "Folder of the report.", required=True)
_TASK = flags.DEFINE_string("task", "", "Only runs on this task.")
_PROFILE = flags.DEFINE_string("profile", "", "Only runs of this profile.")
_INCOMPLETE = flags.DEFINE_string(
    "incomplete", "count", "count or leave_out: runs that have not ended or were never scored on test."
)
_HIERARCHICAL = flags.DEFINE_bool("hierarchical", False, "Intervals resample tasks beside seeds.")
_COMPARE = flags.DEFINE_list("compare", [], "Two agents to compare, beside every agent with every control.")
_JSON = flags.DEFINE_bool("json", False, "The last line is one JSON object.")


def main(_):
    words.tell(
        _RUNS.value,
        _OUT.value,
        task=_TASK.value,
        profile=_PROFILE.value,
        incomplete=_INCOMPLETE.value,
        hierarchical=_HIERARCHICAL.value,
        pair=_COMPARE.value,
        as_json=_JSON.value,
    )


if __name__ == "__main__":
    cli.run(main)
