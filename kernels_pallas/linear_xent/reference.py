"""linear_xent by its definition, all logits at once, differentiated by autodiff.

T tokens, d model dim, V vocabulary.
"""

import jax
import jax.numpy as jnp

from kernels_pallas.common.numerics import einsum


def losses(logits_TV, labels_T, z_loss: float):
    """(lse - logit of the label + z_loss lse^2, lse), both [T]; a label outside [0,V) gives NaN."""
    lse_T = jax.nn.logsumexp(logits_TV, axis=-1)
    picked_T = jnp.take_along_axis(logits_TV, labels_T[:, None], axis=-1, mode="clip")[:, 0]
    outside_T = (labels_T < 0) | (labels_T >= logits_TV.shape[-1])
    poison_T = jnp.where(outside_T, jnp.nan, 1)
    return poison_T * (lse_T - picked_T + z_loss * lse_T**2), lse_T


def xent(h_Td, table_Vd, labels_T, weights_T, z_loss: float):
    """(loss sum, lse [T]) in float32; `weights_T` is 0 for ignored rows, whose labels are already replaced by 0."""
    logits_TV = einsum("td,vd->tv", h_Td, table_Vd.astype(h_Td.dtype), dtype=h_Td.dtype)
    loss_T, lse_T = losses(logits_TV, labels_T, z_loss)
    return jnp.sum(jnp.where(weights_T != 0, loss_T * weights_T, 0)), lse_T
