"""Successive halving: scores patterns at a cheap preset, the best third at the next, and says how far the ranks agree.

python scripts/halving.py --candidates=candidates.jsonl --top=27
python scripts/halving.py --patterns='8(A-M) 5(2A-M)-A' --rungs=smoke,cpu-s --eta=1 --json

Patterns are separated by ";" or by spaces. A call that was stopped goes on from the cache.
"""

import functools
import json
import logging
import re

from absl import flags

from aira_jax.compose import measuring, rows
from aira_jax.core import cli
from aira_jax.patterns import parse
from aira_jax.proxies import text_fidelity
from aira_jax.runs import halving

_PATTERNS = flags.DEFINE_string("patterns", "", "Patterns to begin with.")
_CANDIDATES = flags.DEFINE_string("candidates", "", "A table that scripts/collect.py wrote, instead of --patterns.")
_TASK = flags.DEFINE_string("task", "", "Only rows of this task of the table.")
_TOP = flags.DEFINE_integer("top", 27, "So many of the table's best by validation score begin.", lower_bound=1)
_PROXY = flags.DEFINE_string("proxy", text_fidelity.MAD, f"One of {', '.join(text_fidelity.PROXIES)}.")
_RUNGS = flags.DEFINE_list("rungs", list(halving.RUNGS), "Presets, the cheapest first.")
_ETA = flags.DEFINE_float("eta", 3.0, "One of so many patterns goes on (1: all).")
_K = flags.DEFINE_integer("k", 5, "For the overlap of the k best.", lower_bound=1)
_SPLIT = flags.DEFINE_enum("split", "validation", ["validation", "test"], "What is scored; a search uses validation.")
_CACHE = flags.DEFINE_string("cache_dir", None, "Results; default: $AIRA_JAX_CACHE or ~/.cache/aira_jax.")
_JSON = flags.DEFINE_bool("json", False, "Print one JSON object: winner, rungs, agreements.")


def main(_):
    logging.getLogger().setLevel(logging.INFO)
    for preset in _RUNGS.value:
        text_fidelity.of(_PROXY.value, preset)
    score = functools.partial(measuring.measure, proxy=_PROXY.value, split=_SPLIT.value, cache_dir=_CACHE.value)
    lower = measuring.lower_is_better(_PROXY.value)
    done = halving.halve(_begin(), _RUNGS.value, score, eta=_ETA.value, lower_is_better=lower, k=_K.value)
    print(json.dumps(done.to_json()) if _JSON.value else done.to_text())


def _begin():
    if bool(_PATTERNS.value) == bool(_CANDIDATES.value):
        raise ValueError("give either --patterns or --candidates")
    if _PATTERNS.value:
        return [parse(text) for text in re.split(r"[;\s]+", _PATTERNS.value.strip(" ;"))]
    table = rows.read_table(_CANDIDATES.value)
    return halving.beginners(table, proxy=_PROXY.value, task=_TASK.value, top=_TOP.value)


if __name__ == "__main__":
    cli.run(main)
