"""Secret names of tokens and classes, which a rule written by hand cannot know and training has to find out.

Where rows are generated, their symbols carry no meaning but the one that labels give them; a model that solves them by
a rule of its own and trains one number to let the answers through then answers at random.

B batch, L length, V vocabulary, C classes.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lra.data import philox
from lra.network import Inputs, Network, Pull
from lra.settings import task_info


@dataclasses.dataclass(frozen=True)
class Renamed:
    """A network that reads name `tokens_V[t]` for token t, and whose output `classes_C[c]` answers for class c."""

    network: Network
    tokens_V: np.ndarray
    classes_C: np.ndarray

    def initial(self, key: jax.Array) -> dict[str, Any]:
        return self.network.initial(key)

    def forward(self, params: Any, batch_stats: Any, inputs: Inputs, key: jax.Array) -> tuple[jax.Array, Any, Pull]:
        logits_BC, changed, pull = self.network.forward(params, batch_stats, self._named(inputs), key)
        outputs_C = np.argsort(self.classes_C)
        return logits_BC[:, self.classes_C], changed, lambda cotangent_BC: pull(cotangent_BC[:, outputs_C])

    def logits(self, params: Any, batch_stats: Any, inputs: Inputs) -> jax.Array:
        return self.network.logits(params, batch_stats, self._named(inputs))[:, self.classes_C]

    def _named(self, inputs: Sequence[jax.Array]) -> Inputs:
        names_V = jnp.asarray(self.tokens_V, jnp.int32)
        return tuple(names_V[tokens_BL] for tokens_BL in inputs)


def renamed(network: Network, task: str, sha256: str) -> Renamed:
    """By permutations that only who knows `sha256`, hexadecimal, can draw; padding (0) keeps its name."""
    info, seed = task_info(task), int(sha256[:16], 16)
    tokens_V = np.append(0, 1 + philox.permutation(seed, philox.Tag.NAMES, 0, info.vocab - 1))
    return Renamed(network, tokens_V, philox.permutation(seed, philox.Tag.NAMES, 1, info.classes))
