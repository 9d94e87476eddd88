"""AdamW as Long Range Arena sets it (beta1 0.9, beta2 0.98, epsilon 1e-9), with factors for groups of parameters."""

import re
from typing import Any

import jax
import optax

from lra.job import Recipe, Rule
from lra.schedule import schedule
from lra.settings import Settings

BETA1 = 0.9


def make(settings: Settings, recipe: Recipe) -> optax.GradientTransformation:
    """update = -lr_t * f_lr * (adam + weight_decay * f_wd * p), f from the first rule that finds the parameter's path.

    Decay is decoupled and covers every parameter. Raises: ValueError for an unknown factor or a bad regex.
    """
    rate = schedule(
        recipe.factors,
        settings.learning_rate,
        settings.warmup,
        decay=recipe.decay,
        total=settings.num_train_steps,
    )
    clip = [] if recipe.grad_clip is None else [optax.clip_by_global_norm(recipe.grad_clip)]
    return optax.chain(
        *clip,
        optax.scale_by_adam(b1=BETA1, b2=recipe.beta2, eps=recipe.epsilon),
        _decayed(settings.weight_decay, recipe.rules),
        optax.scale_by_learning_rate(rate),
    )


def _decayed(weight_decay: float, rules: tuple[Rule, ...]) -> optax.GradientTransformation:
    for rule in rules:
        try:
            re.compile(rule.pattern)
        except re.error as error:
            raise ValueError(f"parameter rule {rule.pattern!r} is no regular expression: {error}") from error

    def leaf(path: tuple, update: jax.Array, value: jax.Array) -> jax.Array:
        rule = group(name_of(path), rules)
        return rule.learning_rate * (update + weight_decay * rule.weight_decay * value)

    return optax.stateless(lambda updates, params: jax.tree_util.tree_map_with_path(leaf, updates, params))


def group(name: str, rules: tuple[Rule, ...]) -> Rule:
    """The first rule whose regex finds `name`, else one that changes nothing."""
    return next((rule for rule in rules if re.search(rule.pattern, name)), Rule(""))


def name_of(path: tuple[Any, ...]) -> str:
    """ "stack/layer_0/ssm/log_step" of a key path."""
    return "/".join(str(getattr(key, "key", key)) for key in path)
