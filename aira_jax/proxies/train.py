"""Trains and scores one pattern on a group of equal-shaped tasks, for several seeds, in one program.

E lanes (task x seed, each a model of its own), N rows, S steps of an epoch, B rows of a batch, T length, V vocabulary
(the widest of the group; narrower lanes have masked logits).
"""

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from aira_jax.proxies import metrics, optimizer, proxy_model
from aira_jax.proxies.compile_cache import Compiler
from aira_jax.proxies.fidelity import DType, Preset, Select
from aira_jax.proxies.mad import IGNORED, Rows
from aira_jax.proxies.proxy_model import ProxyModel, Setup
from aira_jax.proxies.text_fidelity import TextPreset

Tree = Any


@dataclasses.dataclass(frozen=True)
class Lane:
    """One model: the rows of a task, and the evaluator seed of its init and shuffling."""

    task: str
    train: Rows
    test: Rows
    vocab: int
    seed: int

    @property
    def shape(self) -> tuple:
        """Lanes of equal shape can train in one program."""
        return self.task == "compression", self.train.x.shape, self.test.x.shape


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A lane scored after `epoch` epochs: `predictions` int [test rows, T], `loss` mean CE of the scored test targets.

    `losses` float32 [steps]: the mean training loss of every step. `stopped`: it reached the preset's `stop_at`.
    """

    predictions: np.ndarray
    loss: float
    epoch: int
    losses: np.ndarray
    stopped: bool = False

    @property
    def diverged(self) -> bool:
        return not (np.isfinite(self.losses).all() and np.isfinite(self.loss))


def epoch_order(seed: int, epoch: int, rows: int, batch: int) -> np.ndarray:
    """Row numbers int32 [S, B] of one epoch. The last batch is filled up with -1: rows of weight zero."""
    order = np.random.default_rng([seed, epoch]).permutation(rows)
    steps = -(-rows // batch)
    return np.pad(order, (0, steps * batch - rows), constant_values=-1).reshape(steps, batch).astype(np.int32)


def cross_entropy(logits_BTV: jax.Array, y_BT: jax.Array) -> jax.Array:
    """[B, T] nats per target, 0 where the target is ignored."""
    counted_BT = y_BT != IGNORED
    label_BT1 = jnp.where(counted_BT, y_BT, 0)[..., None]
    picked_BT = jnp.take_along_axis(logits_BTV, label_BT1, axis=-1)[..., 0]
    return jnp.where(counted_BT, jax.nn.logsumexp(logits_BTV, axis=-1) - picked_BT, 0.0)


class Trainer:
    """The programs of a group of lanes, compiled when first used; `run` trains and scores all of them.

    `compiler` compiles or finds them in a cache; `compile_s` are the seconds that took so far.
    """

    def __init__(
        self,
        preset: Preset | TextPreset,
        layers: tuple[str, ...],
        lanes: Sequence[Lane],
        setup: Setup,
        compiler: Compiler,
    ):
        if len({lane.shape for lane in lanes}) != 1:
            raise ValueError("the lanes of one trainer need equal array shapes and the same kind of model")
        self.preset, self.lanes = preset, tuple(lanes)
        self.micro = min(setup.micro, preset.batch)
        if preset.batch % self.micro:
            raise ValueError(f"micro = {self.micro} rows do not divide the batch of {preset.batch}: use a divisor")
        vocab = max(lane.vocab for lane in lanes)
        self.model: ProxyModel = proxy_model.build(
            preset, layers, autoencoder=lanes[0].task == "compression", vocab=vocab, setup=setup
        )
        self.steps = preset.epochs * -(-len(lanes[0].train) // preset.batch)
        self.optimizer = optimizer.make(preset, self.steps)
        self.tables = jax.tree.map(jnp.asarray, self.model.program.tables())
        self.train_rows, self.test_rows = (
            {
                "x": jnp.asarray(np.stack([getattr(lane, split).x for lane in lanes]), jnp.int32),
                "y": jnp.asarray(np.stack([getattr(lane, split).y for lane in lanes]), jnp.int32),
                "bias": jnp.asarray([[0.0] * lane.vocab + [-np.inf] * (vocab - lane.vocab) for lane in lanes]),
            }
            for split in ("train", "test")
        )
        start = time.perf_counter()
        self._compiler, self._precision = compiler, "highest" if preset.dtype is DType.FP32 else "default"
        with jax.default_matmul_precision(self._precision):
            self.initial = self._initial_state(compiler)
        self.compile_s = time.perf_counter() - start

    def _initial_state(self, compiler: Compiler) -> Tree:
        """Parameters and optimizer state of all lanes as host arrays, leading dim E."""
        lanes = [self.model.initial_params(lane.seed, lane.vocab, compiler) for lane in self.lanes]
        params = jax.tree.map(lambda *leaves: np.stack(leaves), *lanes)
        empty = jax.eval_shape(jax.vmap(self.optimizer.init), params)
        return params, jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), empty)

    def initial_state(self) -> Tree:
        """Parameters and optimizer state of all lanes on the device; `train_epoch` uses its argument up."""
        return jax.tree.map(jnp.array, self.initial)

    def order(self, epoch: int) -> tuple[jax.Array, jax.Array]:
        """Row numbers [E, S, B] of an epoch, and how many passes of `micro` rows each step takes, [S]."""
        n, batch = len(self.lanes[0].train), self.preset.batch
        order_ESB = np.stack([epoch_order(lane.seed, epoch, n, batch) for lane in self.lanes])
        passes_S = -(-(order_ESB[0] >= 0).sum(-1) // self.micro)
        return jnp.asarray(order_ESB), jnp.asarray(passes_S, jnp.int32)

    def run(self, on_epoch: Callable[[int, float], None] = lambda epoch, loss: None) -> list[Outcome]:
        """Trains to the end (or until every lane has stopped or diverged); `on_epoch(epochs done, mean loss)`."""
        p, state = self.preset, self.initial_state()
        best: list[Outcome | None] = [None] * len(self.lanes)
        losses_ES = np.zeros((len(self.lanes), 0), np.float32)
        for epoch in range(1, p.epochs + 1):
            state, new_ES = self.train_epoch(state, self.train_rows, *self.order(epoch - 1), self.tables)
            losses_ES = np.concatenate([losses_ES, np.asarray(new_ES)], axis=1)
            on_epoch(epoch, float(losses_ES[:, -1].mean()))
            last = epoch == p.epochs or not np.isfinite(losses_ES[:, -1]).any()
            if last or (p.eval_every and epoch % p.eval_every == 0):
                scored = self._score(state[0], epoch, losses_ES)
                best = [self._keep(old, new) for old, new in zip(best, scored, strict=True)]
            if last or all(outcome and outcome.stopped for outcome in best):
                break
        return best

    def _keep(self, old: Outcome | None, new: Outcome) -> Outcome:
        if old is None or not old.stopped:
            selects = self.preset.select is Select.BEST_TEST
            return dataclasses.replace(old, losses=new.losses) if selects and old and old.loss <= new.loss else new
        return old

    def _score(self, params: Tree, epoch: int, losses_ES: np.ndarray) -> list[Outcome]:
        predictions, loss = (np.asarray(out) for out in self.test(params, self.test_rows, self.tables))
        outcomes = []
        for i, lane in enumerate(self.lanes):
            predicted = predictions[i, : len(lane.test)]
            stop_at = self.preset.stop_at
            stopped = stop_at is not None and metrics.macro(predicted, lane.test.y) >= stop_at
            outcomes.append(Outcome(predicted, float(loss[i]), epoch, losses_ES[i], stopped))
        return outcomes

    # What is compiled.

    @functools.cached_property
    def train_epoch(self) -> Callable:
        """The compiled `_epoch`; its first argument is used up."""
        args = self.initial, self.train_rows, *self.order(0), self.tables
        return self._compiled(jax.jit(self._epoch, donate_argnums=0), args, "epoch")

    @functools.cached_property
    def test(self) -> Callable:
        """The compiled `_test`."""
        return self._compiled(jax.jit(self._test), (self.initial[0], self.test_rows, self.tables), "test")

    def _compiled(self, jitted, args: tuple, name: str) -> Callable:
        program = self.model.program
        arrangement = program.engine, program.primitives, program.written
        about = name, self.preset.resolved(), self.steps, self.micro, self.model.wrapper, arrangement
        with jax.default_matmul_precision(self._precision):
            made = self._compiler(jitted, *args, about=about)
        self.compile_s += made.seconds
        return made.call

    def _epoch(self, state, rows, order_ESB, passes_S, tables):
        def step(state, batch):
            order_EB, passes = batch
            return self._each_lane(lambda *lane: self._step(*lane, passes, tables))(state, rows, order_EB)

        state, losses_SE = jax.lax.scan(step, state, (order_ESB.swapaxes(0, 1), passes_S))
        return state, losses_SE.T

    def _step(self, state, rows, order_B, passes, tables):
        params, momenta = state
        loss, grads = self.gradient(params, rows, order_B, passes, tables)
        updates, momenta = self.optimizer.update(grads, momenta, params)
        return (optax.apply_updates(params, updates), momenta), loss

    def gradient(self, params: Tree, rows: Tree, order_B: jax.Array, passes: jax.Array, tables: Tree):
        """One lane's mean loss over the targets of the rows `order_B` (-1: none), and its gradient.

        The first `passes` * micro entries of `order_B` hold all of its rows.
        """
        gradient = jax.value_and_grad(self._loss_sum)
        if self.micro == self.preset.batch:
            sums = gradient(params, rows, order_B, tables)
        else:

            def add(i, sums):
                part = jax.lax.dynamic_slice_in_dim(order_B, i * self.micro, self.micro)
                return jax.tree.map(jnp.add, sums, gradient(params, rows, part, tables))

            sums = jax.lax.fori_loop(0, passes, add, (jnp.zeros(()), jax.tree.map(jnp.zeros_like, params)))
        targets = jnp.sum((rows["y"][order_B] != IGNORED) & (order_B >= 0)[:, None])
        return jax.tree.map(lambda total: total / targets, sums)

    def _loss_sum(self, params, rows, order_B, tables):
        logits_BTV = self.model.logits(params, tables, rows["x"][order_B]) + rows["bias"]
        y_BT = jnp.where((order_B >= 0)[:, None], rows["y"][order_B], IGNORED)
        return jnp.sum(cross_entropy(logits_BTV, y_BT))

    def _test(self, params, rows, tables):
        def part(params, rows, order_B):
            logits_BTV = self.model.logits(params, tables, rows["x"][order_B]) + rows["bias"]
            y_BT = jnp.where((order_B >= 0)[:, None], rows["y"][order_B], IGNORED)
            return jnp.argmax(logits_BTV, axis=-1), cross_entropy(logits_BTV, y_BT).sum()

        def lane(params, rows):
            n = len(self.lanes[0].test)
            order = jnp.asarray(np.pad(np.arange(n), (0, -n % self.micro), constant_values=-1).reshape(-1, self.micro))
            predictions, losses = jax.lax.map(lambda order_B: part(params, rows, order_B), order)
            return predictions.reshape(-1, predictions.shape[-1]), losses.sum() / (rows["y"] != IGNORED).sum()

        return self._each_lane(lane)(params, rows)

    def _each_lane(self, f: Callable) -> Callable:
        if len(self.lanes) > 1:
            return jax.vmap(f)

        def alone(*args):
            result = f(*jax.tree.map(lambda leaf: leaf[0], args))
            return jax.tree.map(lambda leaf: leaf[None], result)

        return alone
