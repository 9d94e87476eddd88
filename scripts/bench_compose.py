"""Times the arithmetic part of AIRA-Compose: its commands from start to end, aggregation, Bayesian proposals.

python scripts/bench_compose.py --patterns=2500
"""

from absl import flags

from aira_jax.core import cli

_PATTERNS = flags.DEFINE_integer("patterns", 2500, "Patterns of 16 layers to aggregate.", lower_bound=50)


def main(_):
    from aira_jax.bench import compose, table

    print(table.text(list(compose.measured(_PATTERNS.value))))


if __name__ == "__main__":
    cli.run(main)
