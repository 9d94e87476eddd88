"""What a pretraining minimises, and its gradient, computed by every device for its own rows inside one shard_map.

A accumulation, B rows of a device, T = L + 1 tokens of a window, D model dim, V vocabulary.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P

from aira_jax.models.hybrid import HybridLM
from aira_jax.pretrain import sharding
from aira_jax.pretrain.settings import Loss
from aira_jax.train.sharding import Layout
from kernels_pallas.common.dispatch import Impl
from kernels_pallas.linear_xent.api import linear_xent

_IMPLS = {Loss.FULL: Impl.REFERENCE, Loss.TILED: Impl.XLA}


@dataclasses.dataclass(frozen=True)
class Objective:
    """The mean cross-entropy in nats of a step's tokens, plus z_loss * lse^2 of each."""

    model: HybridLM
    layout: Layout
    loss: Loss
    block: int
    z_loss: float = 0.0

    def gradient(self, params: Any, tokens_ABT: jax.Array) -> tuple[jax.Array, Any]:
        """(loss, gradient float32) of windows [A, B of all devices, T]; the sums over A are float32."""
        accumulation, rows, length = tokens_ABT.shape
        targets = accumulation * rows * (length - 1)

        def local(params, tokens_ABT):
            def loss(params, tokens_BT):
                return self._out(params, specs, tokens_BT)[0].loss_sum / targets

            def more(total, tokens_BT):
                return jax.tree.map(jnp.add, total, jax.value_and_grad(loss)(params, tokens_BT)), None

            if accumulation == 1:
                value, grads = jax.value_and_grad(loss)(params, tokens_ABT[0])
            else:
                start = (jnp.zeros(()), jax.tree.map(jnp.zeros_like, params))
                (value, grads), _ = jax.lax.scan(more, start, tokens_ABT)
            return jax.lax.psum(value, sharding.AXES), sharding.summed(grads, specs)

        specs = sharding.specs(params, self.layout.rule)
        return self._mapped(local, (specs, sharding.BATCH), (P(), specs))(params, tokens_ABT)

    def scores(self, params: Any, tokens_ABT: jax.Array, counted_ABL: jax.Array) -> tuple[jax.Array, jax.Array]:
        """(nats, nats of the counted targets), sums over all windows whose `counted_ABL` is not -1; A is 1."""

        def local(params, tokens_ABT, counted_ABL):
            out, label_logits = self._out(params, specs, tokens_ABT[0])
            nats, counted = out.lse - label_logits, counted_ABL[0].reshape(-1)
            sums = jnp.sum(jnp.where(counted >= 0, nats, 0)), jnp.sum(jnp.where(counted > 0, nats, 0))
            return jax.lax.psum(sums, sharding.AXES)

        specs = sharding.specs(params, self.layout.rule)
        mapped = self._mapped(local, (specs, sharding.BATCH, sharding.BATCH), (P(), P()))
        return mapped(params, tokens_ABT, counted_ABL)

    def _out(self, params: Any, specs: Any, tokens_BT: jax.Array):
        whole = sharding.gatherer(self.model.size.dtype, specs, self.layout.mesh.shape[sharding.FSDP])
        table_VD = whole("embedding", params["embedding"])
        h_ND = self.model.hidden(params, table_VD, tokens_BT[:, :-1], whole).reshape(-1, table_VD.shape[1])
        labels_N = tokens_BT[:, 1:].reshape(-1)
        options = {"z_loss": self.z_loss, "block": self.block, "impl": _IMPLS[self.loss]}
        out = linear_xent(h_ND, table_VD, labels_N, **options)
        label_logits_N = jnp.sum(h_ND.astype(jnp.float32) * table_VD[labels_N].astype(jnp.float32), -1)
        return out, jax.lax.stop_gradient(label_logits_N)

    def _mapped(self, local: Callable, inputs: tuple, outputs: tuple) -> Callable:
        return jax.shard_map(local, mesh=self.layout.mesh, in_specs=inputs, out_specs=outputs, check_vma=False)
