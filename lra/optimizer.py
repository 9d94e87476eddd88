"""The optimizer of a job: AdamW as Long Range Arena sets it (beta1 0.9, beta2 0.98, epsilon 1e-9)."""

import optax

from aira_jax.train import optimizer, schedule
from lra.job import Recipe
from lra.settings import Settings


def make(settings: Settings, recipe: Recipe) -> optax.GradientTransformation:
    """See `aira_jax.train.optimizer.adamw`. Raises: ValueError for an unknown factor or a bad regex."""
    return optimizer.adamw(
        rate(settings, recipe),
        weight_decay=settings.weight_decay,
        grad_clip=recipe.grad_clip,
        beta2=recipe.beta2,
        epsilon=recipe.epsilon,
        rules=recipe.rules,
    )


def rate(settings: Settings, recipe: Recipe) -> schedule.Schedule:
    """Update -> learning rate. Raises: ValueError for an unknown factor."""
    total = settings.num_train_steps
    return schedule.schedule(recipe.factors, settings.learning_rate, settings.warmup, decay=recipe.decay, total=total)
