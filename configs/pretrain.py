"""Pretraining: a pattern or a model of the zoo at a scale. The same command continues what lies in --workdir.

    python scripts/train.py --config=configs/pretrain.py:debug --workdir=runs/debug
    python scripts/train.py --config=configs/pretrain.py:debug,arch=airahybrid_d_str --workdir=runs/hybrid
    python scripts/train.py --config=configs/pretrain.py:debug,pattern='8(A-M)' --workdir=runs/own --config.steps=300
    python scripts/train.py --config=configs/pretrain.py:1b,arch=airahybrid_d_str --workdir=W --config.data.path=DIR

DIR holds the shards that scripts/corpus_shards.py wrote.

debug            2 CPU cores, the built-in stories, under a minute
small            one GPU, 512 dims
350m, 1b, 3b     the sizes and the batch of 524,288 tokens of the paper; 350m for 8 GPUs, 1b and 3b for 16

`arch=` a model of the zoo (llama_3_2, composite_st, airaformer_a_str, airahybrid_d_str, ..: an unknown name lists all);
`pattern=` any pattern; at 350m, 1b and 3b a pattern needs `space=2` or `space=3`. Other `key=value` set that option, as
`--config.key=value` does later.
"""

import functools

from ml_collections import config_dict

from aira_jax.core import choices, config_variants, settings
from aira_jax.pretrain.settings import Settings

_PAPER = {
    "length": 8192,
    "batch": 64,
    "microbatch": 4,
    "steps": 71_565,
    "log_every": 10,
    "eval_every": 2_000,
    "eval_windows": 1_000,
    "save_every": 1_000,
    "data.kind": "shards",
}
VARIANTS = {
    "debug": {
        "model.scale": "debug",
        "model.dtype": "float32",
        "optimizer.peak": 3e-3,
        "optimizer.warmup": 20,
        "data.held_out_every": 20,
    },
    "small": {
        "model.scale": "small",
        "length": 1024,
        "batch": 64,
        "microbatch": 16,
        "steps": 5_000,
        "eval_every": 500,
        "save_every": 500,
        "data.tokenizer": "bpe:8192",
        "model.vocab": 8192,
    },
    "350m": _PAPER | {"model.scale": "350M", "optimizer.peak": 1.5e-3},
    "1b": _PAPER | {"model.scale": "1B", "optimizer.peak": 1e-3},
    "3b": _PAPER | {"model.scale": "3B", "optimizer.peak": 8e-4, "model.remat": "names"},
}


def get_config(variant: str = "debug") -> config_dict.ConfigDict:
    """The config of `<variant>[,arch=<name>|,pattern=<pattern>][,<key>=<value>...]`. Raises ValueError for others."""
    words = {word: functools.partial(_model, word) for word in ("arch", "pattern", "space", "attention", "remat")}
    start = config_dict.ConfigDict(settings.placeholders(Settings()))
    return config_variants.apply(start, variant, file="configs/pretrain.py", named=_variant, words=words)


def _variant(name: str) -> dict:
    if name not in VARIANTS:
        raise ValueError(choices.refusal(f"configs/pretrain.py has no variant {name!r}", name, VARIANTS))
    return VARIANTS[name]


def _model(word: str, value: str) -> dict:
    return {f"model.{word}": value}
