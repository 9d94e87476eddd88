"""Training on text: schedule, clipping, learning, and what a result tells."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aira_jax.proxies import corpora, evaluator, fidelity, lanes, optimizer, text, text_fidelity
from aira_jax.proxies.engines import Engine
from aira_jax.proxies.mad import IGNORED
from aira_jax.proxies.proxy_model import Setup
from aira_jax.proxies.result import ProxyResult, Split, TaskScore
from aira_jax.proxies.text_fidelity import Kind
from aira_jax.proxies.train import Lane, Trainer

TINY = dataclasses.replace(
    text_fidelity.get("babistories", "smoke"), name="tiny", d=16, length=24, train=40, test=20, batch=16, epochs=3
)


def rates(*arguments):
    at, steps = optimizer.schedule(*arguments), arguments[-1]
    return np.asarray(jax.jit(jax.vmap(at))(jnp.arange(steps)))


def test_the_rate_rises_in_a_line_and_falls_as_a_cosine():
    found = rates(1e-3, 1e-4, 100, 316)
    np.testing.assert_allclose(found[:100], 1e-3 * np.arange(1, 101) / 100, rtol=1e-5)
    half = 100 + (316 - 100) // 2
    assert found[half - 1] == pytest.approx((1e-3 + 1e-4) / 2, rel=1e-4)
    assert found[-1] == pytest.approx(1e-4, rel=1e-5)
    assert (np.diff(found[99:]) < 0).all()


@pytest.mark.parametrize("steps, warmup", [(1, 1), (2, 1), (30, 10)])
def test_a_short_run_warms_up_for_a_third_of_it(steps, warmup):
    found = rates(1e-3, 1e-4, 100, steps)
    assert int(found.argmax()) == warmup - 1
    assert np.isfinite(found).all()


def first_moment(preset, gradient):
    params = {"w": jnp.zeros(4)}
    made = optimizer.make(preset, 10)
    _, state = jax.jit(made.update)({"w": gradient}, made.init(params), params)
    first, second = (leaf for leaf in jax.tree.leaves(state) if leaf.shape == (4,))
    np.testing.assert_allclose(second / (1 - preset.b2), (first / (1 - preset.b1)) ** 2, rtol=1e-4)
    return first


def test_gradients_are_clipped_to_the_norm_of_the_preset_and_never_on_mad():
    gradient = jnp.array([6.0, 0.0, 8.0, 0.0])
    np.testing.assert_allclose(first_moment(TINY, gradient), 0.1 * gradient / 10, rtol=1e-5)
    np.testing.assert_allclose(first_moment(fidelity.get("smoke"), gradient), 0.1 * gradient, rtol=1e-5)


def test_training_on_text_lowers_the_loss_and_repeats_itself(compiler):
    data = corpora.open("babistories", preset=TINY)
    preset = dataclasses.replace(TINY, lr=5e-3)
    trainer = Trainer(
        preset, ("A",), [Lane("babistories", data.train, data.test, data.vocab, 0)], Setup(Engine.SHARED), compiler
    )
    first, second = trainer.run()[0], trainer.run()[0]
    assert len(first.losses) == 9
    assert first.losses[0] == pytest.approx(math.log(257), rel=0.1)
    assert first.losses[-1] < first.losses[0] - 0.5
    np.testing.assert_array_equal(first.losses, second.losses)
    assert first.predictions.shape == (20, 24)


class Recorder:
    """Stands in for the training: every lane scores the loss of a uniform guess."""

    def __init__(self):
        self.lanes = []

    def train(self, planned, preset, layers, *, engine, programs):
        self.lanes += planned
        guess = TaskScore(0.25, 0.1, math.log(256))
        return [
            lanes.Scored(lane, guess, preset.epochs, False, 9, [5.0], 1.0, 2.0, "shared:16", 1000) for lane in planned
        ]


@pytest.fixture
def recorder(monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr(lanes, "train", recorder.train)
    return recorder


def test_a_result_tells_bits_per_byte_and_its_corpus_and_is_found_again(recorder, tmp_path):
    result = text.evaluate("2(A-M)", kind="babistories", preset=TINY, cache_dir=tmp_path)
    (lane,) = recorder.lanes
    targets = lane.test.y[lane.test.y != IGNORED]
    assert result.bytes_per_target == pytest.approx((targets != 256).mean())
    assert result.bits_per_byte == pytest.approx(8 / result.bytes_per_target)  # a byte by a uniform guess has 8 bits
    assert (result.proxy, result.corpus["corpus"], result.profile) == ("babistories", "builtin", "tiny")
    plain = result.to_json()
    assert plain["loss"] == pytest.approx(math.log(256))
    assert plain["bits_per_byte"] == result.bits_per_byte
    assert ProxyResult.from_json(plain) == result
    again = text.evaluate("AMAM", kind="babistories", preset=TINY, cache_dir=tmp_path)
    assert len(recorder.lanes) == 1
    assert again == dataclasses.replace(result, cached=True, steps=0, train_s=0.0, compile_s=0.0)


def test_validation_trains_on_seventy_percent_of_the_train_windows(recorder, tmp_path):
    text.evaluate("A", kind="babistories", preset=TINY, cache_dir=tmp_path, split=Split.VALIDATION)
    (lane,) = recorder.lanes
    assert (len(lane.train), len(lane.test)) == (28, 12)
    data = corpora.open("babistories", preset=TINY)
    assert {row.tobytes() for row in (*lane.train.x, *lane.test.x)} == {row.tobytes() for row in data.train.x}


def test_results_of_different_corpora_tokenizers_seeds_and_proxies_never_mix(recorder, tmp_path):
    stories = "\n".join(f'"{i} is the number of this story, and {i + 1} that of the next."' for i in range(80))
    (tmp_path / "own.txt").write_text(stories)
    base = {"kind": "babistories", "preset": TINY, "cache_dir": tmp_path / "cache"}
    dclm = dataclasses.replace(TINY, kind=Kind.DCLM)
    variants = (
        {},
        {"path": tmp_path / "own.txt"},
        {"tokenizer": "bpe:300"},
        {"data_seed": 7},
        {"eval_seed": 1},
        {"split": "validation"},
        {"kind": "dclm", "preset": dclm},
        {"preset": dataclasses.replace(TINY, clip=0.5)},
    )
    keys = [text.evaluate("A-M", **base | variant).key for variant in variants]
    assert len(set(keys)) == len(recorder.lanes) == len(variants)


def test_text_needs_a_corpus_and_has_no_tasks_to_choose_from():
    with pytest.raises(ValueError, match="babistories needs a corpus"):
        evaluator.evaluate("A-M", preset=TINY)
    with pytest.raises(ValueError, match="has no tasks to choose from"):
        evaluator.evaluate("A-M", preset=TINY, tasks=["compression"])


def test_a_token_beyond_the_vocabulary_is_refused(tmp_path):
    data = dataclasses.replace(corpora.open("babistories", preset=TINY), vocab=100)
    with pytest.raises(ValueError, match=r"tokens must lie in 0\.\.99"):
        evaluator.evaluate("A-M", preset=TINY, datasets={"babistories": data}, cache_dir=tmp_path)


def test_results_from_before_text_proxies_can_be_read(recorder, tmp_path):
    plain = text.evaluate("A", kind="babistories", preset=TINY, cache_dir=tmp_path).to_json()
    for new in ("proxy", "corpus", "bytes_per_target"):
        del plain[new]
    old = ProxyResult.from_json(plain)
    assert (old.proxy, old.corpus, old.bits_per_byte) == ("mad", None, None)
