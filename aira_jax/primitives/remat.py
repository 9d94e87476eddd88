"""What a backward pass may keep while it computes the rest again: the outputs of attention and SSM."""

import jax
from jax.ad_checkpoint import checkpoint_name

KEPT = "mixed"


def kept(x: jax.Array) -> jax.Array:
    """`x`, marked for the policy that saves only what is named `KEPT`."""
    return checkpoint_name(x, KEPT)
