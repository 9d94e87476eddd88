"""Trains and scores one pattern on a proxy; prints one JSON object on the last line. Equal calls come from a cache.

python scripts/evaluate_pattern.py --pattern='8(A-M)' --profile=cpu-s
python scripts/evaluate_pattern.py --pattern='3(2Mb-M-A)-2(Mb-M)' --profile=smoke --tasks=memorization,compression
python scripts/evaluate_pattern.py --pattern='8(A-M)' --profile=cpu-s --proxy=babistories --corpus=stories.jsonl.gz
"""

import json
import logging
import os

from absl import flags

from aira_jax import cli
from aira_jax.proxies import evaluator, fidelity, text
from aira_jax.proxies.corpora import Short, readers
from aira_jax.proxies.corpora.tokenizers import RANKS_VARIABLE

_PATTERN = flags.DEFINE_string("pattern", None, "The arrangement, for example '8(A-M)'.", required=True)
_PROXY = flags.DEFINE_enum("proxy", "mad", ["mad", "babistories", "dclm"], "What the pattern trains on.")
_PROFILE = flags.DEFINE_string("profile", "cpu-s", f"Fidelity: {', '.join(fidelity.PRESETS)}.")
_TASKS = flags.DEFINE_list("tasks", None, f"mad: some of {', '.join(fidelity.TASKS)}; default: those of the profile.")
_SEED = flags.DEFINE_integer("seed", 12345, "Seed of the rows, for text: of the order and split of the documents.")
_EVAL_SEED = flags.DEFINE_integer("eval_seed", 0, "Seed of the model's init and of shuffling.")
_SPLIT = flags.DEFINE_enum("split", "test", ["test", "validation"], "Score the test rows, or 30 % of the train rows.")
_ENGINE = flags.DEFINE_string("engine", "auto", "Layer program; auto takes the fastest one measured.")
_CACHE = flags.DEFINE_string("cache_dir", None, "Results and programs; default: $AIRA_JAX_CACHE or ~/.cache/aira_jax.")

_CORPUS = flags.DEFINE_string("corpus", None, "Text: file or folder of the corpus; default: the built-in stories.")
_TOKENIZER = flags.DEFINE_string("tokenizer", None, "Text: byte, gpt2 or bpe:<size>; default: that of the profile.")
_RANKS = flags.DEFINE_string("gpt2_ranks", None, f"Text: folder of GPT-2's vocabulary; default: ${RANKS_VARIABLE}.")
_FIELD = flags.DEFINE_string("field", "text", "Text: JSON field or parquet column of the text.")
_SEPARATOR = flags.DEFINE_string("separator", readers.SEPARATOR, "Text: what stands between documents of a .txt file.")
_SHORT = flags.DEFINE_bool("allow_short", False, "Text: take a corpus that is too small as far as it goes.")

_TEXT_ONLY = (_CORPUS, _TOKENIZER, _RANKS, _FIELD, _SEPARATOR, _SHORT)


def main(argv):
    del argv
    logging.getLogger("jax").setLevel(logging.WARNING)
    result = _on_mad() if _PROXY.value == "mad" else _on_text()
    print(json.dumps(result.to_json(), sort_keys=True))


def _on_mad():
    for flag in _TEXT_ONLY:
        if flag.present:
            raise ValueError(f"--{flag.name} is for text: add --proxy=babistories or --proxy=dclm, or leave it out")
    return evaluator.evaluate(_PATTERN.value, tasks=_TASKS.value, preset=_PROFILE.value, **_common())


def _on_text():
    if _TASKS.value:
        raise ValueError(f"--tasks chooses among the tasks of MAD: leave it out with --proxy={_PROXY.value}")
    if _CORPUS.value is None:
        logging.warning("no --corpus: corpus: builtin (generated stories, not %s)", _PROXY.value)
    return text.evaluate(
        _PATTERN.value,
        kind=_PROXY.value,
        preset=_PROFILE.value,
        path=_CORPUS.value,
        tokenizer=_TOKENIZER.value,
        ranks=_RANKS.value or os.environ.get(RANKS_VARIABLE),
        field=_FIELD.value,
        separator=_SEPARATOR.value,
        short=Short.ALLOW if _SHORT.value else Short.REFUSE,
        **_common(),
    )


def _common():
    return {
        "data_seed": _SEED.value,
        "eval_seed": _EVAL_SEED.value,
        "split": _SPLIT.value,
        "cache_dir": _CACHE.value,
        "engine": _ENGINE.value,
    }


if __name__ == "__main__":
    cli.run(main)
