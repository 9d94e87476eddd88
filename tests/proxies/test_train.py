"""Training: it learns, repeats itself, and every way to compute it gives the same gradient."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aira_jax.proxies import fidelity, lanes
from aira_jax.proxies.engines import Engine
from aira_jax.proxies.fidelity import Select
from aira_jax.proxies.proxy_model import Setup
from aira_jax.proxies.result import TaskStatus
from aira_jax.proxies.train import Outcome, Trainer, epoch_order

LAYERS = ("A", "M")
SHARED = Setup(Engine.SHARED)


def test_shuffling_is_the_published_permutation_and_pads_the_last_batch():
    order = epoch_order(3, 5, 10, 4)
    expected = np.random.default_rng([3, 5]).permutation(10)
    np.testing.assert_array_equal(order.ravel()[:10], expected)
    assert order.shape == (3, 4)
    assert order[2].tolist() == [*expected[8:], -1, -1]


def test_loss_falls_within_twenty_steps_and_a_second_run_is_identical(compiler, lane, tiny):
    trainer = Trainer(dataclasses.replace(tiny, epochs=7), LAYERS, [lane()], SHARED, compiler)
    first, second = trainer.run()[0], trainer.run()[0]
    assert len(first.losses) == 21
    assert first.losses[14:].mean() < first.losses[:5].mean() - 0.1
    np.testing.assert_array_equal(first.losses, second.losses)
    np.testing.assert_array_equal(first.predictions, second.predictions)


def gradient(trainer, order):
    params, rows = (jax.tree.map(lambda leaf: leaf[0], tree) for tree in (trainer.initial[0], trainer.train_rows))
    passes = -(-sum(row >= 0 for row in order) // trainer.micro)
    args = params, rows, jnp.asarray(order), passes, trainer.tables
    return jax.tree.leaves(jax.jit(trainer.gradient)(*args))


def test_a_padded_batch_has_the_gradient_of_its_rows_alone(compiler, lane, tiny):
    rows, padding = [4, 0, 39, 17, 8, 1, 2, 3], [-1] * 24
    alone, padded = (dataclasses.replace(tiny, batch=batch) for batch in (8, 32))
    expected = gradient(Trainer(alone, "M", [lane()], Setup(Engine.UNROLLED, 8), compiler), rows)
    for micro in (4, 32):
        actual = gradient(Trainer(padded, "M", [lane()], Setup(Engine.UNROLLED, micro), compiler), rows + padding)
        for a, b in zip(actual, expected, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.slow
def test_three_seeds_at_once_equal_three_single_runs(compiler, lane, tiny):
    together = Trainer(tiny, LAYERS, [lane(seed=s) for s in range(3)], SHARED, compiler).run()
    for seed, outcome in enumerate(together):
        alone = Trainer(tiny, LAYERS, [lane(seed=seed)], SHARED, compiler).run()[0]
        np.testing.assert_allclose(outcome.losses, alone.losses, rtol=1e-5)
        assert outcome.loss == pytest.approx(alone.loss, rel=1e-5)
    assert len({float(outcome.losses[0]) for outcome in together}) == 3


@pytest.mark.slow
def test_tasks_of_equal_shape_train_together_as_they_do_alone(compiler, lane, tiny):
    pair = [lane("in-context-recall"), lane("noisy-in-context-recall")]
    assert pair[0].vocab < pair[1].vocab
    for outcome, one in zip(Trainer(tiny, LAYERS, pair, SHARED, compiler).run(), pair, strict=True):
        alone = Trainer(tiny, LAYERS, [one], SHARED, compiler).run()[0]
        np.testing.assert_allclose(outcome.losses, alone.losses, rtol=1e-5)
        assert outcome.predictions.max() < one.vocab


def test_lanes_of_unequal_shape_are_refused(compiler, lane, tiny):
    with pytest.raises(ValueError, match="equal array shapes"):
        Trainer(tiny, LAYERS, [lane(), lane("memorization")], SHARED, compiler)


@pytest.mark.slow
def test_compression_trains_the_autoencoder(compiler, lane, tiny):
    outcome = Trainer(tiny, LAYERS, [lane("compression")], SHARED, compiler).run()[0]
    assert outcome.predictions.shape == (tiny.test, 8)
    assert outcome.losses[-1] < outcome.losses[0]


@pytest.mark.slow
def test_bfloat16_products_are_close_to_float32_and_not_equal(compiler, lane, tiny):
    half = dataclasses.replace(tiny, dtype=fidelity.DType.BF16_MATMUL)
    a, b = (Trainer(p, LAYERS, [lane()], SHARED, compiler).run()[0].losses for p in (tiny, half))
    np.testing.assert_allclose(a, b, rtol=0.02)
    assert not np.array_equal(a, b)


def test_a_diverged_run_gets_the_worst_score(compiler, lane, tiny):
    wild = dataclasses.replace(tiny, lr=1e30)
    scored = lanes.train([lane()], wild, LAYERS, engine="shared", programs=compiler.directory)[0]
    assert scored.score.status is TaskStatus.DIVERGED
    assert (scored.score.micro, scored.score.macro, scored.score.loss) == (0.0, 0.0, float("inf"))
    assert scored.steps == 3  # stopped after the first epoch


def scripted(preset, compiler, lane, losses, accuracies):
    """Runs a trainer that does not train: lane i has losses[i][e] and accuracies[i][e] on test after epoch e + 1."""
    trainer = Trainer(preset, LAYERS, [lane(seed=seed) for seed in range(len(losses))], SHARED, compiler)
    targets = np.stack([one.test.y for one in trainer.lanes])
    epochs = iter(range(preset.epochs))

    def train_epoch(state, *args):
        return state, np.ones((len(losses), 3), np.float32)

    def score(*args):
        epoch = next(epochs)
        right = np.asarray([accuracy[epoch] for accuracy in accuracies]) > 0.5
        return np.where(right[:, None, None], targets, 10), np.asarray([loss[epoch] for loss in losses])

    trainer.train_epoch, trainer.test = train_epoch, score
    return trainer.run()


def test_reaching_the_wanted_accuracy_stops_a_lane_and_only_that_lane(compiler, lane, tiny):
    watched = dataclasses.replace(tiny, epochs=3, eval_every=1, stop_at=0.9)
    easy, hard = scripted(watched, compiler, lane, [[5, 6, 7], [3, 2, 1]], [[0, 1, 0], [0, 0, 0]])
    assert (easy.stopped, easy.epoch, easy.loss, len(easy.losses)) == (True, 2, 6, 6)
    assert (hard.stopped, hard.epoch, hard.loss, len(hard.losses)) == (False, 3, 1, 9)


def test_training_ends_when_every_lane_has_stopped(compiler, lane, tiny):
    watched = dataclasses.replace(tiny, epochs=3, eval_every=1, stop_at=0.9)
    outcomes = scripted(watched, compiler, lane, [[1, 1], [1, 1]], [[1, 0], [0, 1]])
    assert [(outcome.epoch, len(outcome.losses)) for outcome in outcomes] == [(1, 3), (2, 6)]


def test_selection_on_test_keeps_the_epoch_of_lowest_test_loss(compiler, lane, tiny):
    selecting = dataclasses.replace(tiny, epochs=3, eval_every=1, select=Select.BEST_TEST)
    first, second = scripted(selecting, compiler, lane, [[3, 1, 2], [1, 2, 3]], [[0, 0, 0]] * 2)
    assert [(outcome.epoch, outcome.loss) for outcome in (first, second)] == [(2, 1), (1, 1)]
    assert len(second.losses) == 9


class FullMemory:
    """Stands in for a trainer on a device without memory for `fits` + 1 rows at a time."""

    tried: list[int]
    fits: int

    def __init__(self, preset, layers, lanes, setup, compiler):
        self.tried.append(setup.micro)
        if setup.micro > self.fits:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes")
        self.compile_s, self.lanes = 0.0, lanes

    def run(self, on_epoch):
        return [Outcome(lane.test.y, 0.0, 1, np.zeros(3, np.float32)) for lane in self.lanes]


@pytest.mark.parametrize("fits, status, micro", [(4, TaskStatus.OK, 1.0), (3, TaskStatus.OOM, 0.0)])
def test_full_memory_is_retried_once_with_fewer_rows_at_a_time(fits, status, micro, lane, tiny, monkeypatch):
    full = type("Full", (FullMemory,), {"tried": [], "fits": fits})
    monkeypatch.setattr(lanes, "Trainer", full)
    scored = lanes.train([lane()], tiny, LAYERS, engine="shared:16", programs=None)[0]
    assert full.tried == [16, 4]
    assert (scored.score.status, scored.score.micro) == (status, micro)


def test_other_device_errors_are_not_taken_for_full_memory(lane, tiny, monkeypatch):
    def broken(*args):
        raise jax.errors.JaxRuntimeError("INTERNAL: no device")

    monkeypatch.setattr(lanes, "Trainer", broken)
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
        lanes.train([lane()], tiny, LAYERS, engine="shared", programs=None)
