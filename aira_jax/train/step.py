"""An update compiled once for a layout of devices, its memory known before it runs."""

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any

import jax

from aira_jax.train.sharding import Layout, shardings


@dataclasses.dataclass(frozen=True)
class Step:
    """`create()` makes the state before the first update, `update(state, batch)` gives (state, scalar metrics).

    Both are traced. The state's placement follows `layout.rule` and needs nothing computed.
    """

    create: Callable[[], Any]
    update: Callable[[Any, Any], tuple[Any, Any]]
    layout: Layout

    @functools.cached_property
    def shapes(self) -> Any:
        """Shapes, dtypes and shardings of the state: what a checkpoint is restored into, on whatever mesh."""
        return self.layout.state(jax.eval_shape(self.create))

    def initial(self) -> Any:
        """The state before the first update, on the devices."""
        return jax.jit(self.create, out_shardings=shardings(self.shapes))()

    def lower(self, batch: Any) -> jax.stages.Lowered:
        """The update for a batch of these shapes; the state is donated."""
        out = (shardings(self.shapes), self.layout.whole)
        jitted = jax.jit(self.update, donate_argnums=0, out_shardings=out)
        return jitted.lower(self.shapes, self.layout.batch_shapes(batch))

    def compile(self, batch: Any) -> "Program":
        started = time.perf_counter()
        compiled = self.lower(batch).compile()
        return Program(compiled, self.layout.place, time.perf_counter() - started)


@dataclasses.dataclass(frozen=True)
class Program:
    """A compiled update, `place` for its batches, and what compiling took."""

    update: Any
    place: Callable[[Any], Any]
    compile_s: float
