"""Language models of any pattern at any scale: repeated units are traced once and scanned.

B batch, L length, S cached positions, D model dim, V vocabulary, R repeats of a unit.
"""

import dataclasses
import enum
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from aira_jax.primitives.block import Block, Large
from aira_jax.primitives.norm import Norm
from aira_jax.primitives.remat import KEPT

KERNEL_STD = 0.02
_TRUNCATED_STD = 0.87962566103423978  # of a standard normal cut at +-2
_OUTPUTS = ("out", "down", "out_proj")  # kernels that write into the residual stream

Params = Any
Whole = Callable[[str, jax.Array], jax.Array]
"""(path of a weight within its layer, what this device holds of it) -> the whole weight as the layer multiplies it."""


class Segment(NamedTuple):
    """`unit`, a tuple of layers, `repeats` times in a row."""

    unit: tuple[str, ...]
    repeats: int


class Scan(enum.StrEnum):
    """REPEATS: one traced unit a segment of `plan_scan`. NONE: every layer is traced."""

    REPEATS = "repeats"
    NONE = "none"


class Remat(enum.StrEnum):
    """What the backward pass computes again. NONE: nothing. NAMES: all but the outputs of attention and SSM. BLOCK: all
    but the input of each block."""

    NONE = "none"
    NAMES = "names"
    BLOCK = "block"


def plan_scan(layers: Sequence[str]) -> tuple[Segment, ...]:
    """The segments that trace the fewest layers, then are the fewest; of those the longest first segment wins."""
    layers = tuple(layers)
    best: list[tuple[int, int, int, tuple[Segment, ...]]] = [(0, 0, 0, ())]
    for start in range(len(layers) - 1, -1, -1):
        found = []
        for segment in _segments(layers[start:]):
            length = len(segment.unit) * segment.repeats
            traced, count, _, rest = best[len(layers) - start - length]
            found.append((traced + len(segment.unit), count + 1, -length, (segment, *rest)))
        best.append(min(found, key=lambda option: option[:3]))
    return best[-1][3]


def _segments(layers: tuple[str, ...]) -> Iterator[Segment]:
    """Every unit that `layers` may start with, and how often it may repeat."""
    for size in range(1, len(layers) + 1):
        unit, repeats = layers[:size], 1
        yield Segment(unit, repeats)
        while layers[repeats * size : (repeats + 1) * size] == unit:
            repeats += 1
            yield Segment(unit, repeats)


@dataclasses.dataclass(frozen=True)
class HybridLM:
    """tokens [batch, length] int -> logits [batch, length, vocab] float32; causal, pre-norm, tied embedding, no biases.

    `layers` are tokens of the pattern language, `size` their sizes. Parameters are float32:

        {"embedding": [V, D], "norm": .., "segment_0": {"layer_0": leaves [R, ...], ..}, ..}

    The products and the residual stream have `size.dtype`; norm statistics, softmax, SSM decays and states, logits and
    loss are float32. Initial weights do not depend on `scan`; `restack` carries them from one plan to another.
    Source: the block form of Llama (Touvron et al. 2023), Mamba-2 (Dao and Gu 2024).
    """

    size: Large
    layers: tuple[str, ...]
    vocab: int
    scan: Scan = Scan.REPEATS
    remat: Remat = Remat.NONE

    @functools.cached_property
    def plan(self) -> tuple[Segment, ...]:
        if self.scan is Scan.NONE:
            return tuple(Segment((layer,), 1) for layer in self.layers)
        return plan_scan(self.layers)

    def init(self, key: jax.Array) -> Params:
        """Kernels truncated normal (0.02; those that write into the residual stream 0.02/sqrt(layers)), norms 1,
        Mamba-2's own parameters as their layer draws them."""
        first, params = 0, {}
        for name, segment in zip(self.segment_names, self.plan, strict=True):
            size = len(segment.unit)
            params[name] = {
                f"layer_{i}": jax.vmap(functools.partial(self._layer_params, layer))(
                    jax.vmap(jax.random.fold_in, (None, 0))(key, first + i + size * jnp.arange(segment.repeats))
                )
                for i, layer in enumerate(segment.unit)
            }
            first += size * segment.repeats
        table_key = jax.random.fold_in(key, len(self.layers))
        table_VD = _truncated(table_key, (self.vocab, self.size.dim), KERNEL_STD)
        return params | {"embedding": table_VD, "norm": {"weight": jnp.ones(self.size.dim)}}

    def apply(self, params: Params, tokens_BL: jax.Array) -> jax.Array:
        """Logits of the next token at every position."""
        table_VD = _cast(params["embedding"], self.size.dtype)
        return self.unembed(self.hidden(params, table_VD, tokens_BL), table_VD)

    def hidden(
        self, params: Params, table_VD: jax.Array, tokens_BL: jax.Array, whole: Whole | None = None
    ) -> jax.Array:
        """The normed residual stream [B, L, D] that meets the table; `whole` brings together what devices share."""
        whole = whole or (lambda path, leaf: leaf)
        x_BLD = self._embed(table_VD, tokens_BL)
        for name, segment in zip(self.segment_names, self.plan, strict=True):
            x_BLD, _ = jax.lax.scan(self._unit(segment, whole), x_BLD, params[name])
        return self._norm(params, x_BLD)

    def unembed(self, x: jax.Array, table_VD: jax.Array) -> jax.Array:
        """Logits float32 of x [..., D]."""
        return jnp.einsum("...d,vd->...v", x, table_VD, preferred_element_type=jnp.float32)

    def init_caches(self, batch: int, length: int) -> dict[str, Any]:
        """The memory of `batch` empty sequences that will grow to at most `length` tokens; leaves [R, ...], zeros."""

        def empty(layer: str, repeats: int) -> Any:
            block = self._block(layer)
            made = functools.partial(block.init_with_output, method=Block.init_cache)
            cache, _ = jax.eval_shape(lambda key: made(key, batch, length), jax.random.key(0))
            return jax.tree.map(lambda leaf: jnp.zeros((repeats, *leaf.shape), leaf.dtype), cache)

        return {
            name: {f"layer_{i}": empty(layer, segment.repeats) for i, layer in enumerate(segment.unit)}
            for name, segment in zip(self.segment_names, self.plan, strict=True)
        }

    def prefill(self, params: Params, tokens_BL: jax.Array, caches: Any) -> tuple[jax.Array, Any]:
        """Logits [B, V] after empty caches have seen `tokens_BL`, and the caches."""
        x_BLD, caches = self._remember(params, tokens_BL, caches, Block.prefill)
        table_VD = _cast(params["embedding"], self.size.dtype)
        return self.unembed(x_BLD[:, -1], table_VD), caches

    def step(self, params: Params, tokens_B: jax.Array, caches: Any, position: jax.Array) -> tuple[jax.Array, Any]:
        """Logits [B, V] of one more token per sequence at `position` (int32 scalar), and the caches."""
        x_BD, caches = self._remember(params, tokens_B, caches, Block.step, position)
        return self.unembed(x_BD, _cast(params["embedding"], self.size.dtype)), caches

    @property
    def segment_names(self) -> list[str]:
        return [f"segment_{i}" for i in range(len(self.plan))]

    def _remember(self, params, tokens, caches, method, *where):
        x, grown = self._embed(_cast(params["embedding"], self.size.dtype), tokens), {}
        for name, segment in zip(self.segment_names, self.plan, strict=True):

            def unit(x, weights_and_caches, segment=segment):
                weights, caches = weights_and_caches
                new = {}
                for i, layer in enumerate(segment.unit):
                    variables = {"params": weights[f"layer_{i}"]}
                    old = caches[f"layer_{i}"]
                    x, new[f"layer_{i}"] = self._block(layer).apply(variables, x, old, *where, method=method)
                return x, new

            x, grown[name] = jax.lax.scan(unit, x, (params[name], caches[name]))
        return self._norm(params, x), grown

    def _embed(self, table_VD: jax.Array, tokens: jax.Array) -> jax.Array:
        """Rows of the table; their gradients are added in float32, however often a token occurs."""
        return table_VD.astype(jnp.float32)[tokens].astype(self.size.dtype)

    def _norm(self, params: Params, x: jax.Array) -> jax.Array:
        return Norm(self.size.norm).apply({"params": params["norm"]}, x)

    def _unit(self, segment: Segment, whole: Whole):
        def block(layer: str, weights: Params, x_BLD: jax.Array) -> jax.Array:
            weights = jax.tree_util.tree_map_with_path(lambda path, leaf: whole(_path(path), leaf), weights)
            with jax.named_scope(layer):
                return self._block(layer).apply({"params": weights}, x_BLD)

        match self.remat:
            case Remat.NAMES:
                policy = jax.checkpoint_policies.save_only_these_names(KEPT)
                block = jax.checkpoint(block, static_argnums=0, policy=policy, prevent_cse=False)
            case Remat.BLOCK:
                block = jax.checkpoint(block, static_argnums=0, prevent_cse=False)

        def unit(x_BLD, weights):
            for i, layer in enumerate(segment.unit):
                x_BLD = block(layer, weights[f"layer_{i}"], x_BLD)
            return x_BLD, None

        return unit

    def _block(self, layer: str) -> Block:
        return self.size.block(layer)

    def _layer_params(self, layer: str, key: jax.Array) -> Params:
        own, drawn = jax.random.split(key)
        params = self._block(layer).init(own, jnp.zeros((1, 1, self.size.dim), self.size.dtype))["params"]

        def leaf(path: tuple, value: jax.Array) -> jax.Array:
            *_, parent, name = _path(path).split("/")
            if name != "kernel":
                return value
            std = KERNEL_STD * (len(self.layers) ** -0.5 if parent in _OUTPUTS else 1.0)
            return _truncated(jax.random.fold_in(drawn, _ordinal(parent)), value.shape, std)

        return jax.tree_util.tree_map_with_path(leaf, params)


def restack(tree: Any, old: HybridLM, new: HybridLM) -> Any:
    """`tree`, with everything in it that has the structure of `old`'s parameters brought into that of `new`'s."""
    if old.plan == new.plan:
        return tree

    def stacked(value: Any) -> bool:
        return isinstance(value, Mapping) and "segment_0" in value

    def convert(value: Any) -> Any:
        if not stacked(value):
            return value
        layers = [
            jax.tree.map(lambda leaf, r=r: leaf[r], value[name][f"layer_{i}"])
            for name, segment in zip(old.segment_names, old.plan, strict=True)
            for r in range(segment.repeats)
            for i in range(len(segment.unit))
        ]
        rest, first = {key: leaf for key, leaf in value.items() if not key.startswith("segment_")}, 0
        for name, segment in zip(new.segment_names, new.plan, strict=True):
            size, end = len(segment.unit), first + len(segment.unit) * segment.repeats
            rest[name] = {
                f"layer_{i}": jax.tree.map(lambda *leaves: jnp.stack(leaves), *layers[first + i : end : size])
                for i in range(size)
            }
            first = end
        return rest

    return jax.tree.map(convert, tree, is_leaf=stacked)


def _cast(value: jax.Array, dtype: str) -> jax.Array:
    return value.astype(dtype)


def _truncated(key: jax.Array, shape: tuple[int, ...], std: float) -> jax.Array:
    return jax.random.truncated_normal(key, -2.0, 2.0, shape) * (std / _TRUNCATED_STD)


def _ordinal(name: str) -> int:
    """The same small number for the same name in every process."""
    return int.from_bytes(name.encode()[:4].ljust(4, b"\0"), "little") & 0x7FFFFFFF


def _path(path: tuple) -> str:
    return "/".join(str(getattr(part, "key", part)) for part in path)
