"""Layer programs: three ways to run the same arrangement of blocks, with equal results.

Which one is fastest depends on the machine and on the task's shape, so it is measured (`scripts/bench_proxy.py`) and
looked up (`engine_table.py`). L is the number of layers.
"""

import dataclasses
import enum
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from aira_jax.primitives.block import Small

Params = Any


class Engine(enum.StrEnum):
    """How the blocks are laid out in memory and in the program.

    UNROLLED: one parameter tree per layer, every layer written out; compiled anew for every arrangement.
    SHARED: parameters stacked per primitive and padded to L layers, one scan whose index tables are data: all
        arrangements of the same primitives share one compiled program.
    REPEATS: a scan over the repeats of a unit, as in 8(A-M); the rest written out.
    """

    UNROLLED = "unrolled"
    SHARED = "shared"
    REPEATS = "repeats"


@dataclasses.dataclass(frozen=True)
class LayerProgram:
    """Runs `layers` with an engine. Every different text among them is a kind of layer: `M` and `M[ratio=2]` are two.

    `pack` turns the parameters of all layers, stacked per primitive, into the engine's own tree; `run` maps the
    residual stream [B, T, D] through all layers. `tables` is data for `run`: what differs between arrangements that
    share a program.
    """

    engine: Engine
    primitives: Small
    layers: tuple[str, ...]

    def pack(self, stacked: dict[str, Params]) -> Params:
        """`stacked` maps each primitive of the pattern to a tree of host arrays [its number of layers, ...]."""
        if self.engine is Engine.SHARED:
            return jax.tree.map(lambda stack: _lengthened(stack, len(self.layers)), stacked)
        per_layer = [_take(stacked[primitive], slot) for primitive, slot in self._slots()]
        if self.engine is Engine.UNROLLED:
            return per_layer
        return [
            [_stack(per_layer[start + i : start + size * times : size]) for i in range(size)]
            for start, size, times in segments(self.layers)
        ]

    def tables(self) -> dict[str, np.ndarray]:
        """Index tables of the arrangement, int32 [L]; empty for engines that write it into the program."""
        if self.engine is not Engine.SHARED:
            return {}
        slots = self._slots()
        kind = [self._kinds().index(primitive) for primitive, _ in slots]
        return {"kind": np.asarray(kind, np.int32), "slot": np.asarray([slot for _, slot in slots], np.int32)}

    @property
    def written(self) -> tuple[str, ...]:
        """What of the arrangement stands in the program: its kinds of layers where their order is data."""
        return self._kinds() if self.engine is Engine.SHARED else self.layers

    def run(self, params: Params, tables: dict[str, jax.Array], x_BTD: jax.Array) -> jax.Array:
        """The residual stream after the last layer; `params` as `pack` made them."""
        match self.engine:
            case Engine.UNROLLED:
                for primitive, p in zip(self.layers, params, strict=True):
                    x_BTD = self._apply(primitive, p, x_BTD)
            case Engine.SHARED:
                x_BTD = self._scan_stacks(params, tables, x_BTD)
            case Engine.REPEATS:
                for (start, size, _), unit_params in zip(segments(self.layers), params, strict=True):
                    x_BTD = self._repeat(self.layers[start : start + size], unit_params, x_BTD)
        return x_BTD

    def _apply(self, primitive, params, x_BTD):
        with jax.named_scope(primitive):
            return self.primitives.block(primitive).apply({"params": params}, x_BTD)

    def _kinds(self) -> tuple[str, ...]:
        return tuple(sorted(set(self.layers)))

    def _slots(self) -> list[tuple[str, int]]:
        return [(primitive, self.layers[:i].count(primitive)) for i, primitive in enumerate(self.layers)]

    def _scan_stacks(self, stacks, tables, x_BTD):
        def layer(primitive):
            return lambda slot, x_BTD: self._apply(primitive, _take(stacks[primitive], slot), x_BTD)

        branches = [layer(primitive) for primitive in self._kinds()]

        @jax.checkpoint
        def body(x_BTD, table):
            return jax.lax.switch(table["kind"], branches, table["slot"], x_BTD), None

        return jax.lax.scan(body, x_BTD, tables)[0]

    def _repeat(self, unit, unit_params, x_BTD):
        def body(x_BTD, params):
            for primitive, p in zip(unit, params, strict=True):
                x_BTD = self._apply(primitive, p, x_BTD)
            return x_BTD, None

        if jax.tree.leaves(unit_params)[0].shape[0] == 1:
            return body(x_BTD, _take(unit_params, 0))[0]
        return jax.lax.scan(body, x_BTD, unit_params)[0]


def segments(layers: Sequence[str]) -> list[tuple[int, int, int]]:
    """Cuts `layers` into (start, unit size, repeats) so that the units have as few layers in total as possible."""
    best: list[tuple[int, list[tuple[int, int, int]]]] = [(0, [])]
    for end in range(1, len(layers) + 1):
        options = []
        for start in range(end):
            size = _period(layers[start:end])
            cost, before = best[start]
            options.append((cost + size, [*before, (start, size, (end - start) // size)]))
        best.append(min(options, key=lambda option: (option[0], len(option[1]))))
    return best[-1][1]


def _period(layers: Sequence[str]) -> int:
    n = len(layers)
    return next(k for k in range(1, n + 1) if n % k == 0 and tuple(layers[:k]) * (n // k) == tuple(layers))


def _lengthened(stack: np.ndarray, n: int) -> np.ndarray:
    return np.concatenate([stack, np.zeros((n - len(stack), *stack.shape[1:]), stack.dtype)])


def _take(tree: Params, slot) -> Params:
    return jax.tree.map(lambda leaf: leaf[slot], tree)


def _stack(trees: Sequence[Params]) -> Params:
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)
