"""What every causal_conv1d implementation shares: the extended input, tap masks, activation.

B batch, L time, K channels, W width (taps), E = L + W - 1 extended time.
"""

import enum
from typing import NamedTuple

import jax
import jax.numpy as jnp

from kernels_pallas.common.segments import run_ids


class Activation(enum.StrEnum):
    """What follows the convolution."""

    SILU = "silu"
    NONE = "none"


class Inputs(NamedTuple):
    """Arguments of `causal_conv1d`; optional ones are None."""

    x: jax.Array  # [B,L,K]
    w: jax.Array  # [W,K]
    b: jax.Array | None  # [K]
    initial_state: jax.Array | None  # [B,W-1,K]
    segment_ids: jax.Array | None  # [B,L] integer


def extend(inputs: Inputs):
    """The W-1 rows before the first position (zeros unless given) followed by x: [B,E,K]."""
    before = inputs.w.shape[0] - 1
    if inputs.initial_state is None:
        return jnp.pad(inputs.x, ((0, 0), (before, 0), (0, 0)))
    return jnp.concatenate([inputs.initial_state, inputs.x], axis=1)


def tap_mask(segment_ids_BL, width: int, tap: int):
    """[B,L,1]: whether tap `tap` of position t lies in the run of t. Rows before the first position belong to run 0."""
    runs_BL = run_ids(segment_ids_BL)
    reach_BL = jnp.pad(runs_BL, ((0, 0), (width - 1, 0)))[:, tap : tap + runs_BL.shape[1]]
    return (reach_BL == runs_BL)[..., None]


def activate(pre, activation: Activation):
    return jax.nn.silu(pre) if activation is Activation.SILU else pre


def final_state(inputs: Inputs):
    """The W-1 rows [B,W-1,K] that a continuation needs; rows of earlier runs are zero."""
    before = inputs.w.shape[0] - 1
    extended_BEK = extend(inputs)
    tail_BWK = extended_BEK[:, extended_BEK.shape[1] - before :]
    if inputs.segment_ids is None:
        return tail_BWK
    runs_BE = jnp.pad(run_ids(inputs.segment_ids), ((0, 0), (before, 0)))
    kept = runs_BE[:, runs_BE.shape[1] - before :] == runs_BE[:, -1:]
    return jnp.where(kept[..., None], tail_BWK, 0)
