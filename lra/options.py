"""What configs/lra.py can say, typed: every option, its default and its meaning, once. Does not import jax."""

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ml_collections import config_dict

from aira_jax.core import choices
from aira_jax.core.settings import blank, placeholders, plain
from lra import job as jobs
from lra.job import Decay, Job, Recipe, Rule, ScoreParams, TrainOn
from lra.settings import Settings

GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Options:
    """`model`: path of a model.py, a design or an encoder; "" = the profile's own.

    `configurable`: the numbers at the top of model.py replace the profile's. `strict`: values outside the ranges that
    agents explored are errors. `settings.*`: replace what profile and model.py say. `options.*`: arguments of the
    model's constructor, given in the variant (`listops,options.dropout_rate=0.2`). `recipe.*`: what people's recipes
    need beyond that. `score_params`: final or best_val. `train_on`: train or full (Text only). `deterministic`: GPU
    kernels that give the same bits each time. `resume` off refuses a workdir that holds a run.
    """

    task: str = "listops"
    profile: str = "smoke"
    model: str = ""
    configurable: bool = False
    strict: bool = False
    score_params: str = ScoreParams.FINAL.value
    train_on: str = TrainOn.TRAIN.value
    time_limit_s: float | None = None
    memory_limit_gb: float | None = None
    checkpoint_every: int | None = None
    deterministic: bool = False
    resume: bool = True


def to_config() -> config_dict.ConfigDict:
    """A locked ConfigDict of the defaults; options without a value take one of their type later."""
    config = config_dict.ConfigDict(
        placeholders(Options()) | {"settings": blank(Settings), "recipe": placeholders(Recipe()), "options": {}}
    )
    config.lock()
    config.options.unlock()
    return config


def job_of(config: Mapping[str, Any], data: str | None, workdir: Path, **flags: str | None) -> Job:
    """The job of a config; `flags` that are given (task, profile, model) replace what it says.

    Raises: ValueError for a bad option or absent data (with the command that makes them); CandidateFault for a
    model.py that breaks its contract.
    """
    values = plain(config)
    values |= {key: value for key, value in flags.items() if value is not None}
    if data is None:
        command = f"{jobs.data_command(values['task'], values['profile'])} --out=DIR"
        raise ValueError(f"--data=DIR is needed. Make it with\n    {command}")
    jobs.need_data(values["task"], values["profile"], Path(data))
    limit = values.pop("memory_limit_gb")
    recipe = values.pop("recipe")
    return jobs.make_job(
        values.pop("task"),
        Path(data),
        workdir,
        overrides=values.pop("settings"),
        recipe=Recipe(**{**recipe, "decay": _member(Decay, recipe["decay"]), "rules": _rules(recipe["rules"])}),
        score_params=_member(ScoreParams, values.pop("score_params")),
        train_on=_member(TrainOn, values.pop("train_on")),
        memory_limit=None if limit is None else int(limit * GIB),
        **values,
    )


def _member(kind: type, value: str) -> Any:
    return choices.member(kind, value, kind.__name__)


def _rules(rules: Iterable) -> tuple[Rule, ...]:
    return tuple(rule if isinstance(rule, Rule) else Rule(*rule) for rule in rules)
