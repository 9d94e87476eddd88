"""Every engine runs the same arrangement with the same result; the table picks among them."""

import dataclasses
import functools
import json

import numpy as np
import pytest

from aira_jax import patterns
from aira_jax.primitives.attention import AttentionImpl
from aira_jax.proxies import engine_table
from aira_jax.proxies.engines import Engine, LayerProgram, segments
from aira_jax.proxies.proxy_model import Setup
from aira_jax.proxies.train import Trainer

LAYERS = patterns.parse("2(A-M)").layers
MAMBA = ("Mb", "M")


@pytest.fixture(scope="module")
def losses(compiler, lane, tiny):
    """Training losses of 21 steps with an engine; the unrolled ones are computed once."""

    @functools.cache
    def run(engine, layers=LAYERS, **setup):
        trainer = Trainer(tiny, layers, [lane()], Setup(engine, **setup), compiler)
        state, losses = trainer.initial_state(), []
        for epoch in range(7):
            state, loss = trainer.train_epoch(state, trainer.train_rows, *trainer.order(epoch), trainer.tables)
            losses += loss[0].tolist()
        return losses

    return run


@pytest.mark.parametrize("engine", [e for e in Engine if e is not Engine.UNROLLED])
def test_engines_agree_over_twenty_steps(engine, losses):
    assert len(losses(Engine.UNROLLED)) == 21
    np.testing.assert_allclose(losses(engine)[:20], losses(Engine.UNROLLED)[:20], rtol=1e-4)


@pytest.mark.slow
def test_an_exchanged_attention_does_not_change_the_training(losses):
    other = losses(Engine.UNROLLED, attention=AttentionImpl.DENSE)
    np.testing.assert_allclose(other[:20], losses(Engine.UNROLLED)[:20], rtol=1e-4)


@pytest.mark.slow
def test_an_exchanged_scan_does_not_change_the_training(losses):
    scan, reference = (losses(Engine.SHARED, MAMBA, ssd_impl=impl) for impl in ("auto", "reference"))
    np.testing.assert_allclose(scan[:20], reference[:20], rtol=1e-4)


@pytest.mark.parametrize(
    "pattern, expected",
    [
        ("8(A-M)", [(0, 2, 8)]),
        ("3(2Mb-M-A)-2(Mb-M)", [(0, 4, 3), (12, 2, 2)]),
        ("16A", [(0, 1, 16)]),
        ("A-M-Mb", [(0, 3, 1)]),
    ],
)
def test_segments_find_the_repeated_units(pattern, expected):
    assert segments(patterns.parse(pattern).layers) == expected


def test_segments_cover_every_layer_once():
    for text in ("2A-5M-2A-3M-A-3M", "A-M-2A-2M-4(A-M)-2M", "4Mb-2M-2Mb-3(2M-2Mb-2M-2A)"):
        layers = patterns.parse(text).layers
        rebuilt = [p for start, size, times in segments(layers) for p in layers[start : start + size] * times]
        assert tuple(rebuilt) == layers


def test_arrangements_with_equal_primitives_share_a_program():
    one, other = (LayerProgram(Engine.SHARED, None, patterns.parse(p).layers) for p in ("3A-M", "2M-2A"))
    assert one.written == other.written == ("A", "M")
    assert LayerProgram(Engine.UNROLLED, None, one.layers).written == one.layers


def table(tmp_path, *rows):
    path = tmp_path / "engines.json"
    path.write_text(
        json.dumps({"rows": [{"backend": "cpu", "device": "cpu", "attention": "blocked", **r} for r in rows]})
    )
    return path


def test_auto_takes_the_winner_of_the_nearest_measured_shape(tmp_path, tiny):
    path = table(
        tmp_path,
        {"d": 16, "batch": 16, "length": 32, "engine": "shared", "micro": 16},
        {"d": 128, "batch": 128, "length": 128, "engine": "repeats", "micro": 8},
    )
    small = engine_table.choose("auto", tiny, 24, backend="cpu", device="cpu", table=path)
    assert engine_table.describe(small.setup) == "shared:16"
    assert small.reason == "measured at d 16, batch 16 x 32"
    large = dataclasses.replace(tiny, d=128, batch=96)
    chosen = engine_table.choose("auto", large, 127, backend="cpu", device="cpu", table=path)
    assert engine_table.describe(chosen.setup) == "repeats:8"


def test_a_device_that_was_never_measured_is_named(tmp_path, tiny):
    choice = engine_table.choose("auto", tiny, 24, backend="gpu", device="H200", table=table(tmp_path))
    assert choice.setup == Setup(Engine.UNROLLED, 16, AttentionImpl.DENSE)
    assert "no measurement for gpu H200" in choice.reason


def test_engines_can_be_named_and_bad_names_are_refused(tiny):
    setup = engine_table.choose("repeats:5", tiny, 24, backend="cpu", device="cpu").setup
    assert setup == Setup(Engine.REPEATS, 4)  # the largest divisor of the batch of 16
    for name in ("fast", "repeats:x"):
        with pytest.raises(ValueError, match="unknown engine"):
            engine_table.choose(name, tiny, 24, backend="cpu", device="cpu")


def test_the_shipped_table_is_complete():
    rows = json.loads(engine_table.TABLE.read_text())["rows"]
    assert {row["d"] for row in rows if row["backend"] == "cpu"} >= {32, 64, 128}
    assert all(Engine(row["engine"]) in Engine for row in rows)
