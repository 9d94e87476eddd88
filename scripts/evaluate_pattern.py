"""Trains and scores one pattern on a proxy; prints one JSON object on the last line. Equal calls come from a cache.

python scripts/evaluate_pattern.py --pattern='8(A-M)' --profile=cpu-s
python scripts/evaluate_pattern.py --pattern='3(2Mb-M-A)-2(Mb-M)' --profile=smoke --tasks=memorization,compression
python scripts/evaluate_pattern.py --pattern='8(A-M)' --profile=cpu-s --proxy=babistories --corpus=stories.jsonl.gz
python scripts/evaluate_pattern.py --pattern='8(A[head=16]-M[norm=rms])' --profile=smoke
"""

import json
import logging

from absl import flags

from aira_jax.core import cli
from aira_jax.core.files import finite
from aira_jax.patterns import options as layer_options
from aira_jax.proxies import fidelity, single
from aira_jax.proxies.corpora.readers import SEPARATOR
from aira_jax.proxies.corpora.tokenizers import RANKS_VARIABLE

_PATTERN = flags.DEFINE_string("pattern", None, "The arrangement, for example '8(A-M)'.", required=True)
_PROXY = flags.DEFINE_string("proxy", single.MAD, f"What the pattern trains on: {', '.join(single.PROXIES)}.")
_PROFILE = flags.DEFINE_string("profile", "cpu-s", f"Fidelity: {', '.join(fidelity.PRESETS)}.")
_TASKS = flags.DEFINE_list("tasks", None, f"mad: some of {', '.join(fidelity.TASKS)}; default: those of the profile.")
_SEED = flags.DEFINE_integer("seed", 12345, "Seed of the rows, for text: of the order and split of the documents.")
_EVAL_SEED = flags.DEFINE_integer("eval_seed", 0, "Seed of the model's init and of shuffling.")
_SPLIT = flags.DEFINE_enum("split", "test", ["test", "validation"], "Score the test rows, or 30 % of the train rows.")
_ENGINE = flags.DEFINE_string("engine", "auto", "Layer program; auto takes the fastest one measured.")
_SIGNAL = flags.DEFINE_enum("signal", None, [*fidelity.Signal], 'What "signal" holds; default: the profile\'s.')
_JSON = flags.DEFINE_bool("json", True, "Print the whole result as JSON; --nojson: score and signal in one line.")
_CACHE = flags.DEFINE_string("cache_dir", None, "Results and programs; default: $AIRA_JAX_CACHE or ~/.cache/aira_jax.")
_REUSE = flags.DEFINE_bool(
    "reuse_scores", None, "Take results of earlier sources and mark them; default: $AIRA_JAX_REUSE_SCORES."
)
_READING = {
    "corpus": flags.DEFINE_string("corpus", None, "Text: file or folder; default: the built-in stories."),
    "tokenizer": flags.DEFINE_string("tokenizer", None, "Text: byte, gpt2 or bpe:<size>; default: the profile's."),
    "gpt2_ranks": flags.DEFINE_string(
        "gpt2_ranks", None, f"Text: GPT-2's vocabulary, a folder; default: ${RANKS_VARIABLE}."
    ),
    "field": flags.DEFINE_string("field", None, "Text: JSON field or parquet column of the text; default: text."),
    "separator": flags.DEFINE_string("separator", None, f"Text: between documents of a .txt; default: {SEPARATOR!r}."),
    "allow_short": flags.DEFINE_bool("allow_short", None, "Text: take a corpus that is too small as far as it goes."),
}


def main(_):
    logging.getLogger("jax").setLevel(logging.WARNING)
    result = single.evaluate(
        layer_options.parse(_PATTERN.value),
        proxy=_PROXY.value,
        preset=_PROFILE.value,
        tasks=_TASKS.value,
        reading={name: flag.value for name, flag in _READING.items()},
        data_seed=_SEED.value,
        eval_seed=_EVAL_SEED.value,
        split=_SPLIT.value,
        engine=_ENGINE.value,
        cache_dir=_CACHE.value,
        reuse_scores=_REUSE.value,
    )
    kind = fidelity.Signal(_SIGNAL.value or single.signal(_PROXY.value, _PROFILE.value))
    signal = result.signal(kind)
    if not _JSON.value:
        print(f"{result.pattern}: score {result.score:.4f}, loss {result.loss:.4f}, signal ({kind}) {signal:.4f}")
        return
    print(json.dumps(result.to_json() | {"signal": finite(signal), "signal_kind": kind}, sort_keys=True))


if __name__ == "__main__":
    cli.run(main)
