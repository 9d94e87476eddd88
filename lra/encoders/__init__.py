"""Encoders by name. Each is a Linen class that takes the arguments of a candidate's model.py (see `lra.contract`).

`single(name)` reads one sequence (ListOps, Text), `dual(name)` two (Retrieval). s5 and mega are the classes of
`lra.designs`; lru is s5 started as a linear recurrent unit, mega_chunk is mega with chunks of 128.
"""

import flax.linen as nn

from aira_jax.core import choices
from lra.designs import PUBLISHED_SIZES
from lra.designs.mega import model as mega
from lra.designs.s5 import model as s5
from lra.encoders import mamba2, pairs, transformer
from lra.settings import task_info


class LruEncoder(s5.CustomEncoder):
    """S5's frame around linear recurrent units. Source: Orvieto et al. 2023, arXiv 2303.06349."""

    ssm_init: str = "lru"


class LruDualEncoder(s5.CustomDualEncoder):
    """S5's frame around linear recurrent units, on pairs."""

    ssm_init: str = "lru"


class MegaChunkEncoder(mega.CustomEncoder):
    """Mega with attention inside chunks of 128 positions."""

    chunk: int = 128


class MegaChunkDualEncoder(mega.CustomDualEncoder):
    """Mega with attention inside chunks of 128 positions, on pairs."""

    chunk: int = 128


SINGLE: dict[str, type[nn.Module]] = {
    "transformer": transformer.TransformerEncoder,
    "linear": transformer.LinearEncoder,
    "local": transformer.LocalEncoder,
    "performer": transformer.PerformerEncoder,
    "s5": s5.CustomEncoder,
    "lru": LruEncoder,
    "mega": mega.CustomEncoder,
    "mega_chunk": MegaChunkEncoder,
    "mamba2": mamba2.Mamba2Encoder,
}
DUAL: dict[str, type[nn.Module]] = {
    "transformer": pairs.TransformerDualEncoder,
    "linear": pairs.LinearDualEncoder,
    "local": pairs.LocalDualEncoder,
    "performer": pairs.PerformerDualEncoder,
    "s5": s5.CustomDualEncoder,
    "lru": LruDualEncoder,
    "mega": mega.CustomDualEncoder,
    "mega_chunk": MegaChunkDualEncoder,
    "mamba2": pairs.Mamba2DualEncoder,
}


def published(name: str, task: str) -> nn.Module:
    """The model of the size its authors published: s5 (arXiv 2208.04933) or mega (arXiv 2209.10655).

    `task` is "listops", "text" or "retrieval". Raises: ValueError for a pair without published sizes.
    """
    if (name, task) not in PUBLISHED_SIZES:
        known = ", ".join(f"{a} {b}" for a, b in PUBLISHED_SIZES)
        raise ValueError(f"no published sizes of encoder {name!r} for task {task!r}; known: {known}")
    info = task_info(task)
    kind = dual(name) if info.pair else single(name)
    return kind(vocab_size=info.vocab, num_classes=info.classes, **PUBLISHED_SIZES[name, task])


def single(name: str) -> type[nn.Module]:
    """The encoder of one sequence; ValueError with the nearest names otherwise."""
    return _named(SINGLE, name)


def dual(name: str) -> type[nn.Module]:
    """The encoder of a pair of sequences; ValueError with the nearest names otherwise."""
    return _named(DUAL, name)


def _named(known: dict[str, type[nn.Module]], name: str) -> type[nn.Module]:
    return known[choices.among("encoder", name, known)]
