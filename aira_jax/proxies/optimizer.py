"""The optimizer of a proxy: AdamW on all parameters; text proxies add a schedule and clip the gradient."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from aira_jax.proxies.fidelity import Preset
from aira_jax.proxies.text_fidelity import TextPreset


def make(preset: Preset | TextPreset, steps: int) -> optax.GradientTransformation:
    """AdamW over `steps` steps: at the preset's rate, or along `schedule` where it has a final one."""
    rate = preset.lr if preset.final_lr is None else schedule(preset.lr, preset.final_lr, preset.warmup, steps)
    adamw = optax.adamw(rate, preset.b1, preset.b2, preset.eps, weight_decay=preset.weight_decay)
    return adamw if preset.clip is None else optax.chain(optax.clip_by_global_norm(preset.clip), adamw)


def schedule(lr: float, final_lr: float, warmup: int, steps: int) -> Callable[[jax.Array], jax.Array]:
    """The rate of step 0, 1, ...: a line up to `lr` at step `warmup` - 1, then half a cosine to `final_lr` at the end.

    A run that is shorter than three times the warm-up warms up for a third of its steps.
    """
    warmup = max(min(warmup, steps // 3), 1)

    def at(count: jax.Array) -> jax.Array:
        done = count + 1.0
        progress = jnp.clip((done - warmup) / max(steps - warmup, 1), 0.0, 1.0)
        falling = final_lr + 0.5 * (lr - final_lr) * (1.0 + jnp.cos(jnp.pi * progress))
        return jnp.where(done < warmup, lr * done / warmup, falling)

    return at
