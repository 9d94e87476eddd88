"""Latency as a sum of blocks, the front, the profile of blocks on the device at hand, and the script."""

import dataclasses
import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aira_jax.compose import dims, zoo
from aira_jax.core import config_flag
from aira_jax.scaling import figures, latency, profile, words
from aira_jax.scaling.latency import BlockTable, Mode, Point, Timed
from aira_jax.scaling.published import LOSSES_1B

ROOT = Path(__file__).parents[2]


def timed(ms):
    return Timed(median_ms=ms, low_ms=ms, high_ms=ms, runs=5, compile_s=1.0)


def table(costs=None, scale="1B", space=3, **changes):
    costs = costs or {"A": 3.0, "M": 2.0, "Mb": 4.0}
    made = BlockTable(
        device="d", scale=scale, space=space, mode=Mode.FORWARD, batch=1, length=8, dtype="float32", attention="dense",
        ssd="auto", dims=dataclasses.asdict(dims.get(scale, space)), versions={"jax": "1"},
        blocks={p: timed(ms) for p, ms in costs.items()},
    )  # fmt: skip
    return dataclasses.replace(made, **changes)


def test_the_front_of_the_published_models_for_block_costs_3_2_4():
    best = latency.front(latency.published(table()))
    assert [(p.name, p.latency_ms) for p in best] == [
        ("Composite (Stacked)", 63),
        ("Composite (Stretched)", 68),
        ("AIRAformer-A (Stretched)", 78),
        ("AIRAformer-B (Stacked)", 78),
        ("Nemotron-H (Approx.)", 83),
        ("Nemotron-2 (Approx.)", 87),
        ("AIRAhybrid-D (Stretched)", 94),
    ]


def test_every_model_of_the_zoo_has_a_published_loss():
    assert set(LOSSES_1B) == {m.key for m in zoo.scaled()}


def test_the_published_losses_are_those_of_the_tables(published):
    rows = published("results_1b.csv")
    told = {r["architecture"]: (float(r["val_loss"]), float(r["val_loss_std"]) if r["val_loss_std"] else None)
            for r in rows}  # fmt: skip
    assert told == LOSSES_1B


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=12))
def test_the_front_is_what_nothing_dominates(pairs):
    points = [Point(str(i), 2, float(x), float(y)) for i, (x, y) in enumerate(pairs)]
    best = latency.front(points)
    assert best
    for p in points:
        beaten = any((q.latency_ms, q.loss) != (p.latency_ms, p.loss) and q.latency_ms <= p.latency_ms
                     and q.loss <= p.loss for q in points)  # fmt: skip
        assert (p in best) != beaten


def test_a_latency_is_the_sum_over_its_layers():
    assert table().latency_ms("2(A-M)-Mb") == table().latency_ms({"A": 2, "M": 2, "Mb": 1}) == 14
    with pytest.raises(ValueError, match="does not belong to space 2"):
        table(space=2, costs={"A": 1.0, "M": 1.0}).latency_ms("A-Mb")


def test_models_of_other_block_sizes_are_not_timed():
    assert {p.space for p in latency.published(table(scale="350M"))} == {3}
    assert {p.space for p in latency.published(table())} == {2, 3}
    assert all(p.loss is None for p in latency.published(table(scale="350M")))
    own = table(scale="1B", dims={"d_model": 64})
    with pytest.raises(ValueError, match="sizes of their own"):
        latency.published(own)


def test_a_table_reads_back_and_another_file_is_refused(tmp_path):
    table().write(tmp_path / "blocks.json")
    assert BlockTable.read(tmp_path / "blocks.json") == table()
    (tmp_path / "x.json").write_text('{"blocks": {}}')
    with pytest.raises(ValueError, match=r"x\.json is no table of blocks.*profile again"):
        BlockTable.read(tmp_path / "x.json")
    with pytest.raises(ValueError, match="No such file"):
        BlockTable.read(tmp_path / "absent.json")


def test_labels_do_not_cover_each_other():
    points = [Point(f"model {i}", 3, 100.0, 2.7 + 0.0001 * i) for i in range(21)]
    heights = [figures._POINTS_HIGH * (p.loss - 2.7) / 0.002 + above for p, above in figures._labels(points)]
    assert all(b - a >= 0.999 * figures._LINE for a, b in itertools.pairwise(sorted(heights)))


@pytest.fixture(scope="module")
def tiny():
    small = {"d_model": 32, "heads": 4, "head_dim": 8, "kv_heads": 2, "mlp_hidden": 64, "mamba_state": 16}
    return dataclasses.replace(dims.get("1B", 3), name="tiny", **small, mamba_head_dim=16)


@pytest.mark.parametrize(
    "mode", [*(pytest.param(mode, marks=pytest.mark.slow) for mode in (Mode.FORWARD, Mode.TRAIN)), Mode.DECODE]
)
def test_every_mode_times_every_primitive(tiny, mode):
    from aira_jax.scaling import blocks

    ticks = itertools.count()
    made = blocks.profile(tiny, mode=mode, batch=2, length=8, dtype="float32", warmup=0, runs=3,
                          clock=lambda: next(ticks) * 1e-3)  # fmt: skip
    assert set(made.blocks) == {"A", "M", "Mb"}
    assert all((b.median_ms, b.runs) == (pytest.approx(1.0), 3) for b in made.blocks.values())
    assert (made.mode, made.dims["d_model"]) == (mode, 32)


def test_the_profiled_blocks_have_the_parameters_that_flops_counts(tiny):
    import jax

    from aira_jax.compose import flops
    from aira_jax.primitives.block import Large

    config = Large(tiny, dtype="float32")
    for primitive, count in flops.layer_parameters(tiny).items():
        x_BLD = jax.ShapeDtypeStruct((1, 4, tiny.d_model), "float32")
        params = jax.eval_shape(config.block(primitive).init, jax.random.key(0), x_BLD)
        assert sum(p.size for p in jax.tree.leaves(params)) == count + tiny.d_model


@pytest.mark.parametrize("bad, message", [({"batch": 0}, "batch=0"), ({"dtype": "int8"}, "dtype 'int8'")])
def test_bad_sizes_are_named(tiny, bad, message):
    from aira_jax.scaling import blocks

    with pytest.raises(ValueError, match=message):
        blocks.profile(tiny, **{"mode": Mode.FORWARD, "batch": 1, "length": 4} | bad)


def script(*arguments):
    command = [sys.executable, ROOT / "scripts" / "latency.py", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


def test_the_script_sums_a_stored_table_and_plots_the_front(tmp_path):
    table().write(tmp_path / "t.json")
    told = script(f"--blocks={tmp_path / 't.json'}", f"--out={tmp_path / 'out'}", "--pattern=16(A-M)")
    assert told.returncode == 0, told.stderr
    assert "80.00 ms   16(A-M)" in told.stdout
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"blocks.json", *(f"latency_loss.{e}" for e in ("png", "svg", "csv"))}  # noqa: E501  # fmt: skip
    lines = (tmp_path / "out" / "latency_loss.csv").read_text().splitlines()
    assert len(lines) == 22
    assert "Composite (Stacked),2,63.0000,2.782,1" in lines
    assert json.loads((tmp_path / "out" / "blocks.json").read_text())["blocks"]["A"]["median_ms"] == 3.0


def test_the_script_names_bad_settings(tmp_path):
    (tmp_path / "file").touch()
    told = script(f"--out={tmp_path / 'file'}", "--blocks=/x")
    assert (told.returncode, "file: File exists; choose another folder" in told.stderr) == (2, True), told.stderr


@pytest.mark.parametrize(
    "changes, patterns, message",
    [
        ({"mode": "train2"}, [], 'unknown mode .*did you mean "train"'),
        ({"scale": "2B"}, [], "unknown scale '2B'"),
        ({}, ["A-X"], "unknown symbol 'X'"),
        ({"space": 2}, ["A-Mb"], "does not belong to space 2"),
        ({"attention": "dens"}, [], 'did you mean "dense"'),
    ],
)
def test_bad_settings_are_named_before_anything_is_timed(changes, patterns, message):
    config = {**config_flag.load(str(ROOT / "configs" / "latency.py")), **changes}
    with pytest.raises(ValueError, match=message):
        profile.timed(config, patterns)


def test_times_that_vary_are_warned_of():
    assert not list(words.warnings(table()))
    wide = Timed(median_ms=2.0, low_ms=1.0, high_ms=2.0, runs=5, compile_s=1.0)
    told = list(words.warnings(table(blocks={"A": timed(1.0), "M": wide})))
    assert told == ["warning: times vary by up to 50% between quartiles: leave the machine alone meanwhile"]
