"""Trains and scores one pattern on MAD; prints one JSON object on the last line. Equal calls are answered from a cache.

python scripts/evaluate_pattern.py --pattern='8(A-M)' --profile=cpu-s
python scripts/evaluate_pattern.py --pattern='3(2Mb-M-A)-2(Mb-M)' --profile=smoke --tasks=memorization,compression
"""

import json
import logging

from absl import flags

from aira_jax import cli
from aira_jax.proxies import evaluator, fidelity

_PATTERN = flags.DEFINE_string("pattern", None, "The arrangement, for example '8(A-M)'.", required=True)
_PROFILE = flags.DEFINE_string("profile", "cpu-s", f"Fidelity: {', '.join(fidelity.PRESETS)}.")
_TASKS = flags.DEFINE_list("tasks", None, f"Some of {', '.join(fidelity.TASKS)}; default: those of the profile.")
_SEED = flags.DEFINE_integer("seed", 12345, "Seed of the rows.")
_EVAL_SEED = flags.DEFINE_integer("eval_seed", 0, "Seed of the model's init and of shuffling.")
_SPLIT = flags.DEFINE_enum("split", "test", ["test", "validation"], "Score the test rows, or 30 % of the train rows.")
_ENGINE = flags.DEFINE_string("engine", "auto", "Layer program; auto takes the fastest one measured.")
_CACHE = flags.DEFINE_string("cache_dir", None, "Results and programs; default: $AIRA_JAX_CACHE or ~/.cache/aira_jax.")


def main(argv):
    del argv
    logging.getLogger("jax").setLevel(logging.WARNING)
    result = evaluator.evaluate(
        _PATTERN.value,
        preset=_PROFILE.value,
        tasks=_TASKS.value,
        data_seed=_SEED.value,
        eval_seed=_EVAL_SEED.value,
        split=_SPLIT.value,
        cache_dir=_CACHE.value,
        engine=_ENGINE.value,
    )
    print(json.dumps(result.to_json(), sort_keys=True))


if __name__ == "__main__":
    cli.run(main)
