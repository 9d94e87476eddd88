"""Long Range Arena: trains one model on one task. The same command continues what lies in --workdir.

    python scripts/lra_data.py --task=listops --profile=smoke --out=data/listops
    python scripts/lra_train.py --config=configs/lra.py:listops,encoder=transformer --data=data/listops --workdir=runs/t
    python scripts/lra_train.py --model=my/model.py --task=text --data=data/text --workdir=runs/mine --profile=paper
    python scripts/lra_train.py --config=configs/lra.py:s5_listops --data=data/listops_full --workdir=runs/s5

listops, text, retrieval, recall, needle    a task; profile smoke (default: a laptop, minutes) or paper (one GPU)
s5_<task>, mega_<task>                      people's baselines with their own sizes and recipes, profile paper; they
                                            see up to 147 times the examples that the paper profile grants

`encoder=` transformer, linear, local, performer, s5, lru, mega, mega_chunk, mamba2; `design=` a folder of lra/designs.
Any other `key=value` sets that option, as `--config.key=value` does later. All options: lra/options.py; the numbers of
the profiles: lra/settings.py. Measured runs: lra/RESULTS.md.
"""

import functools
from collections.abc import Iterable

from ml_collections import config_dict

from aira_jax.core import choices, config_variants
from lra import designs
from lra.designs import PUBLISHED_SIZES
from lra.job import ENCODERS
from lra.options import to_config
from lra.settings import TASKS

_S5 = {
    "model": "s5",
    "score_params": "best_val",
    "settings.batch_size": 50,
    "recipe.decay": "cosine",
    "recipe.beta2": 0.999,
    "recipe.epsilon": 1e-8,
}
_MEGA = {
    "model": "mega",
    "score_params": "best_val",
    "settings.weight_decay": 0.01,
    "options.dropout_rate": 0.1,
    "recipe.decay": "linear",
    "recipe.grad_clip": 1.0,
}
_SSM = r"/(Lambda_re|Lambda_im|log_step)$|/norm/"  # the state-space parameters that S5 does not decay
_SSM_B = r"/(Lambda_re|Lambda_im|B)$|/norm/"


def _s5(rate: float, decay: float, epochs: int, warmup_epochs: int, group: str, **more) -> dict:
    """Smith et al. 2022 (arXiv 2208.04933), appendix: AdamW, cosine to 0, state-space parameters at rate 1e-3."""
    return _S5 | {
        "settings.learning_rate": rate,
        "settings.weight_decay": decay,
        "recipe.epochs": float(epochs),
        "recipe.warmup_epochs": float(warmup_epochs),
        "recipe.rules": ((group, 1e-3 / rate, 0.0),),
        **more,
    }


def _mega(rate: float, batch: int, updates: int, warmup: int, **more) -> dict:
    """Ma et al. 2022 (arXiv 2209.10655), appendix: Adam with clipping at 1, linear decay to 0."""
    return _MEGA | {
        "settings.learning_rate": rate,
        "settings.batch_size": batch,
        "settings.num_train_steps": updates,
        "settings.warmup": warmup,
        **more,
    }


RECIPES = {
    "s5_listops": _s5(3e-3, 0.04, 40, 1, _SSM),
    "s5_text": _s5(4e-3, 0.07, 35, 0, _SSM_B),
    "s5_retrieval": _s5(2e-3, 0.05, 20, 1, _SSM_B, **{"settings.batch_size": 32}),
    "mega_listops": _mega(1e-3, 64, 90_000, 3_000),
    "mega_text": _mega(4e-3, 50, 25_000, 10_000),
    "mega_retrieval": _mega(3e-3, 64, 91_960, 10_000, **{"settings.weight_decay": 0.04}),
}
OWN_EVALUATION = {"settings.eval_frequency": 500}
KNOWN = {"encoder": ENCODERS, "design": designs.names()}


def get_config(variant: str = "listops") -> config_dict.ConfigDict:
    """The config of `<variant>[,encoder=<name>|,design=<name>][,<key>=<value>...]`. Raises ValueError for others."""
    words = {word: functools.partial(_model, word, known) for word, known in KNOWN.items()}
    return config_variants.apply(to_config(), variant, file="configs/lra.py", named=_variant, words=words)


def _variant(name: str) -> dict:
    if name in TASKS:
        return {"task": name}
    if name not in RECIPES:
        raise ValueError(choices.refusal(f"configs/lra.py has no variant {name!r}", name, [*TASKS, *RECIPES]))
    model, task = name.split("_")
    sizes = {f"settings.{key}": value for key, value in PUBLISHED_SIZES[model, task].items()}
    return {"task": task, "profile": "paper"} | OWN_EVALUATION | sizes | RECIPES[name]


def _model(word: str, known: Iterable[str], name: str) -> dict:
    return {"model": choices.among(word, name, known)}
