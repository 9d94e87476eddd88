"""Segments are contiguous runs of equal ids. B batch, L time."""

import jax.numpy as jnp


def run_ids(segment_ids_BL):
    """One id per contiguous run: an id that comes back later counts as new."""
    change_BL = segment_ids_BL[:, 1:] != segment_ids_BL[:, :-1]
    return jnp.pad(jnp.cumsum(change_BL.astype(jnp.int32), axis=1), ((0, 0), (1, 0)))
