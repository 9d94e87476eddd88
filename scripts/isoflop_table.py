"""Prints the training steps that every model of the zoo gets for equal FLOPs.

python scripts/isoflop_table.py --space=2 --format=markdown
python scripts/isoflop_table.py --space=3 --pattern='16(Mb-M)' --budget=1e19,1e20

Steps are rounded as in the paper: to the nearest for space 2 (table 10), down for space 3 (table 11). Counts are those
of the patterns that this project builds; where the paper's tables count other layers, the steps differ with the counts.
"""

import csv
import sys

from absl import flags

from aira_jax.compose import dims, zoo
from aira_jax.compose.flops import BUDGETS, layer_counts, training_steps
from aira_jax.core import cli
from aira_jax.patterns import tokens

_SPACE = flags.DEFINE_string("space", None, "2 (A, M), 3 (A, M, Mb) or tokens such as A+M+D.", required=True)
_FORMAT = flags.DEFINE_enum("format", "csv", ["csv", "markdown"], "How the table is written.")
_SCALE = flags.DEFINE_list("scale", list(dims.SCALES), "Scales, separated by commas.")
_BUDGET = flags.DEFINE_list("budget", list(BUDGETS), "Budgets in FLOPs, separated by commas.")
_PATTERN = flags.DEFINE_multi_string("pattern", [], "A pattern to print instead of the zoo. May be repeated.")
_ROUNDING = flags.DEFINE_string("rounding", None, "nearest, floor or ceil; as in the paper if left out.")


def main(_):
    space = dims.read_space(_SPACE.value)
    header = ("scale", "architecture", *tokens(), "budget_flops", "steps")
    rows = [row for scale in _SCALE.value for row in _rows(scale, space)]
    if _FORMAT.value == "csv":
        csv.writer(sys.stdout, lineterminator="\n").writerows([header, *rows])
        return
    for row in (header, ("---",) * len(header), *rows):
        print(f"| {' | '.join(map(str, row))} |")


def _rows(scale, space):
    for name, layers in _architectures(scale, space):
        counts = layer_counts(layers, space)
        for budget in _BUDGET.value:
            steps = training_steps(layers, scale=scale, space=space, budget=budget, rounding=_ROUNDING.value)
            yield scale, name, *(counts.get(token, 0) for token in tokens()), budget, steps


def _architectures(scale, space):
    if _PATTERN.value:
        return [(text, text) for text in _PATTERN.value]
    dims.get(scale, space)
    models = (zoo.get(name, variant=variant, scale=scale) for name, variant in zoo.models())
    return [(model.key, model.build) for model in models if model.space == space]


if __name__ == "__main__":
    cli.run(main)
