"""Sizes of the models at 350M, 1B and 3B parameters, in the two families of the paper and in your own.

The family ("space") is the set of primitives that a pattern may use, and sets the width of the MLP: the same letters
cost different FLOPs in the two. It is therefore always given, never guessed from a pattern. The families of the paper
are called 2 and 3, any other by its tokens, such as "A+M+D"; its MLP has the width of family 3.

Source: arXiv 2605.15871, section 6.1 and appendix D. The numbers reproduce its tables 10 and 11 and its parameter
counts.
"""

import dataclasses
from collections.abc import Iterable

from aira_jax.core import choices
from aira_jax.patterns import registry

Space = int | str
SPACES = {space: tuple(t for t in registry.tokens() if space in registry.get(t).spaces) for space in (2, 3)}
SCALES = ("350M", "1B", "3B")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dims:
    """Sizes that determine parameters and FLOPs. `dataclasses.replace` makes custom ones.

    Attention is grouped-query without biases, M is SwiGLU without biases, Mb is Mamba-2 with one group and a biased
    depthwise convolution; every layer has one RMSNorm gain, the model a final one, and the embedding is tied.
    """

    name: str
    space: Space
    target: int  # nominal non-embedding parameters; the extrapolator aims at it
    d_model: int
    heads: int
    head_dim: int
    mlp_hidden: int
    mamba_state: int
    kv_heads: int = 8
    mamba_expand: int = 2
    mamba_head_dim: int = 64
    conv_width: int = 4
    vocab: int = 128_256
    seq_len: int = 8_192  # tokens
    tokens_per_step: int = 524_288

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name not in ("name", "space") and (not isinstance(value, int) or value < 1):
                raise ValueError(f"dims {self.name!r}, field {field.name}: {value!r} is no positive integer")
        primitives(self.space)
        if self.heads % self.kv_heads:
            raise ValueError(
                f"dims {self.name!r}: {self.heads} heads cannot share {self.kv_heads} key/value heads: "
                "make heads a multiple of kv_heads"
            )
        if self.d_inner % self.mamba_head_dim:
            raise ValueError(
                f"dims {self.name!r}: the Mamba-2 width {self.d_inner} (= mamba_expand * d_model) is no multiple of "
                f"mamba_head_dim {self.mamba_head_dim}"
            )

    @property
    def query_dim(self) -> int:
        return self.heads * self.head_dim

    @property
    def kv_dim(self) -> int:
        return self.kv_heads * self.head_dim

    @property
    def d_inner(self) -> int:
        return self.mamba_expand * self.d_model

    @property
    def mamba_heads(self) -> int:
        return self.d_inner // self.mamba_head_dim

    @property
    def conv_channels(self) -> int:
        return self.d_inner + 2 * self.mamba_state


_WIDTHS = {
    "350M": {"target": 350_000_000, "d_model": 1536, "heads": 24, "head_dim": 64, "mamba_state": 128},
    "1B": {"target": 1_000_000_000, "d_model": 2048, "heads": 32, "head_dim": 64, "mamba_state": 128},
    "3B": {"target": 3_000_000_000, "d_model": 3072, "heads": 24, "head_dim": 128, "mamba_state": 256},
}
_MLP_HIDDEN = {  # by space
    2: {"350M": 4096, "1B": 8192, "3B": 8192},
    3: {"350M": 6144, "1B": 8192, "3B": 12288},
}


def space_of(primitives: Iterable[str]) -> Space:
    """The space of a set of primitives: 2 and 3 for those of the paper, else its tokens joined by "+"."""
    own = tuple(token for token in registry.tokens() if token in set(primitives))
    return next((space for space, published in SPACES.items() if published == own), "+".join(own))


def primitives(space: Space) -> tuple[str, ...]:
    """The primitives of a space; ValueError unless `space` is 2, 3 or tokens such as "A+M+D"."""
    if space in SPACES:
        return SPACES[space]
    named = space.split("+") if isinstance(space, str) else []
    if not named or not set(named) <= set(registry.tokens()):
        published = " or ".join(f"{number} ({_and(tokens)})" for number, tokens in SPACES.items())
        own = ", or tokens such as " + "+".join(registry.tokens())
        raise ValueError(f"space {space!r} does not exist: use {published}{own}")
    return tuple(token for token in registry.tokens() if token in named)


def read_space(text: str | int) -> Space:
    """A space as a flag names it: 2, 3, or tokens. Raises ValueError as `primitives` does."""
    return space_of(primitives(int(text) if str(text).isdigit() else text))


def get(scale: str | Dims, space: Space | None = None) -> Dims:
    """The published sizes of `scale` ("350M", "1B" or "3B") in `space`; custom Dims pass through.

    Raises ValueError for an unknown scale, a missing or unknown space, or a space that contradicts custom Dims.
    """
    if isinstance(scale, Dims):
        if space not in (None, scale.space):
            raise ValueError(f"space {space!r} contradicts dims {scale.name!r}, which belong to space {scale.space}")
        return scale
    if space is None:
        raise ValueError(f"the space is missing: give space=2 ({_and(SPACES[2])}) or space=3 ({_and(SPACES[3])})")
    width = 2 if set(primitives(space)) <= set(SPACES[2]) else 3
    choices.among("scale", scale, SCALES)
    return Dims(name=scale, space=space, mlp_hidden=_MLP_HIDDEN[width][scale], **_WIDTHS[scale])


def _and(tokens: tuple[str, ...]) -> str:
    return f"{', '.join(tokens[:-1])} and {tokens[-1]}"
