"""Continues prompts with a model that scripts/train.py trained.

    python scripts/generate.py --workdir=runs/debug --prompt="Once" --max_new_tokens=64 --temperature=0
    python scripts/generate.py --workdir=runs/debug --prompt="Ada found" --prompt="The" --top_k=40 --seed=1

Prints each prompt with what follows. Temperature 0 takes the most likely token each time.
"""

import logging
from pathlib import Path

from absl import flags

from aira_jax.core import cli

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
_PROMPT = flags.DEFINE_multi_string("prompt", ["Once"], "Text to continue. May be repeated.")
_NEW = flags.DEFINE_integer("max_new_tokens", 64, "Tokens to add.")
_TEMPERATURE = flags.DEFINE_float("temperature", 1.0, "0: the most likely token; 1: as the model says.")
_TOP_K = flags.DEFINE_integer("top_k", None, "Only the so many most likely tokens.")
_TOP_P = flags.DEFINE_float("top_p", 1.0, "Only the most likely tokens that hold this share.")
_SEED = flags.DEFINE_integer("seed", 0, "Of the draws.")


def main(_):
    from aira_jax.models.generation import Sampling, generate
    from aira_jax.pretrain.restore import restore
    from aira_jax.pretrain.train import source_of

    logging.getLogger("absl").setLevel(logging.WARNING)
    sampling = Sampling(_TEMPERATURE.value, _TOP_K.value, _TOP_P.value)
    found = restore(Path(_WORKDIR.value))
    tokenizer = source_of(found.settings, found.design).tokenizer
    if tokenizer is None:
        raise ValueError("this model was trained on random tokens: it has no text to continue")
    prompts = [tokenizer.encode(text).tolist() for text in _PROMPT.value]
    options = {"sampling": sampling, "seed": _SEED.value, "limit": found.settings.length}
    for text, tokens in zip(
        _PROMPT.value, generate(found.model, found.params, prompts, _NEW.value, **options), strict=True
    ):
        print(text + tokenizer.decode(tokens))


if __name__ == "__main__":
    cli.run(main)
