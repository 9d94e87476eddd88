"""The benchmark of the training loop: its arithmetic, and what it refuses. The timings themselves are no tests."""

import subprocess
import sys
from pathlib import Path

import pytest

from aira_jax.bench import lra_subjects, s5_peer, table
from kernels_pallas.common import timing
from lra.settings import defaults

ROOT = Path(__file__).parents[1]


def test_calls_alternate_after_one_that_is_not_counted():
    order = []
    found = timing.interleaved({name: lambda name=name: order.append(name) for name in "ab"}, rounds=2)
    assert order == ["a", "b", "a", "b", "a", "b"]
    assert {name: len(values) for name, values in found.items()} == {"a": 2, "b": 2}


def test_the_median_is_taken_of_each_clock():
    values = [timing.Seconds(1, 9), timing.Seconds(2, 7), timing.Seconds(9, 8)]
    assert timing.median(values) == timing.Seconds(2, 8)


def test_tables_align_and_leave_holes_open():
    text = table.text([{"a": 1_234, "b": 0.5}, {"a": "x"}])
    assert text.splitlines() == ["    a    b", "1,234  0.5", "    x     "]


def test_batches_have_the_shape_of_the_task():
    batch = lra_subjects.tokens("retrieval", defaults("retrieval").replace(batch_size=3, max_length=50))
    assert {name: value.shape for name, value in batch.items()} == {
        **{"inputs1": (3, 50), "inputs2": (3, 50)},
        "targets": (3,),
    }
    assert batch["inputs1"].min() >= 1


def test_a_folder_that_is_no_checkout_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"holds no s5/train_helpers.py"):
        s5_peer.step(tmp_path, 1, 8)


def test_unknown_parts_are_named_with_the_nearest():
    command = [sys.executable, str(ROOT / "scripts" / "bench_lra.py"), "--parts=pipline"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert 'did you mean "pipeline"' in done.stderr


@pytest.mark.slow
def test_every_step_of_a_subject_moves_its_parameters():
    small = defaults("listops").replace(max_length=32, batch_size=2, num_layers=1, emb_dim=16, qkv_dim=16, warmup=1)
    update = lra_subjects.subject("listops", "linear", small).step()
    losses = [float(update()["loss"]) for _ in range(3)]
    assert losses[0] != losses[2]
