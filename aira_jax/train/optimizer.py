"""AdamW with a schedule, clipping, and factors for groups of parameters."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import optax

from aira_jax.train.groups import Rule
from aira_jax.train.sharding import name_of


def adamw(
    rate: Callable[[Any], Any] | float,
    *,
    weight_decay: float = 0.0,
    grad_clip: float | None = None,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    rules: Sequence[Rule] = (),
) -> optax.GradientTransformation:
    """update = -rate_t * f_lr * (adam + weight_decay * f_wd * p), f from the first rule that finds a parameter's path.

    `grad_clip` bounds the global norm. Decay is decoupled, for every parameter. Raises: ValueError for a bad regex.
    """
    clip = [] if grad_clip is None else [optax.clip_by_global_norm(grad_clip)]
    return optax.chain(
        *clip,
        optax.scale_by_adam(b1=beta1, b2=beta2, eps=epsilon),
        _decayed(weight_decay, rules),
        optax.scale_by_learning_rate(rate),
    )


def _decayed(weight_decay: float, rules: Sequence[Rule]) -> optax.GradientTransformation:
    for rule in rules:
        try:
            re.compile(rule.pattern)
        except re.error as error:
            raise ValueError(f"parameter rule {rule.pattern!r} is no regular expression: {error}") from error

    def leaf(path: tuple, update: jax.Array, value: jax.Array) -> jax.Array:
        rule = group(name_of(path), rules)
        return rule.learning_rate * (update + weight_decay * rule.weight_decay * value)

    return optax.stateless(lambda updates, params: jax.tree_util.tree_map_with_path(leaf, updates, params))


def group(name: str, rules: Sequence[Rule]) -> Rule:
    """The first rule whose regex finds `name`, else one that changes nothing."""
    return next((rule for rule in rules if re.search(rule.pattern, name)), Rule(""))
