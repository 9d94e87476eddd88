"""The loop and its parts in one process: hooks, transfers, failures, profiles, shardings, checkpoints, folders."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec
from linear_client import batch_of, compiled, step_of

from aira_jax.core import sources
from aira_jax.train import memory
from aira_jax.train.checkpoints import Checkpoints, Saving
from aira_jax.train.clock import Clock
from aira_jax.train.errors import DeviceFailure, NotFinite, OutOfMemory, TimeLimit
from aira_jax.train.folder import begin, held
from aira_jax.train.loop import Every, Hook, Loop, Profile, Transfers
from aira_jax.train.sharding import Layout, fsdp, replicated


@pytest.fixture(scope="module")
def linear():
    """A step over 12 updates, and its compiled update."""
    chosen = step_of(12)
    return chosen, compiled(chosen)


def run(linear, total=12, place=None, **options):
    chosen, update = linear
    place = chosen.layout.place if place is None else place
    return Loop(update, lambda t: place(batch_of(t)), Clock(total), **options).run(chosen.initial())


def noted(into: list) -> Hook:
    return Hook(lambda step, value: into.append(step), Every(5, also=(4,), first=True))


def test_hooks_come_at_their_intervals_after_the_first_and_the_last_update(linear):
    metrics, states = [], []
    run(linear, on_metrics=[noted(metrics)], on_state=[noted(states)])
    assert metrics == states == [1, 4, 5, 8, 10, 12]


def test_a_state_hook_sees_its_own_update_and_may_replace_the_state(linear):
    seen = []

    def shift(step, state):
        seen.append((step, int(state.step)))
        return dataclasses.replace(state, params=jax.tree.map(jnp.zeros_like, state.params))

    last = run(linear, on_state=[Hook(shift, Every(6))])
    assert seen == [(6, 6), (12, 12)]
    assert not np.asarray(last.params["w"]).any()


def test_metrics_are_fetched_one_update_late(linear):
    order = []
    chosen, update = linear

    def counted(state, batch):
        order.append("update")
        return update(state, batch)

    run(
        (chosen, counted),
        total=2,
        on_metrics=[Hook(lambda step, values: order.append(step), Every(1))],
        on_state=[Hook(lambda step, state: None, Every(2))],
    )
    assert order == ["update", "update", 1, 2]


def test_an_update_that_moves_host_data_unasked_is_caught(linear):
    with pytest.raises(Exception, match="Disallowed host-to-device transfer"):
        run(linear, place=lambda batch: batch, transfers=Transfers.DISALLOW)
    run(linear, total=1, transfers=Transfers.DISALLOW)


def test_a_loss_that_is_not_finite_ends_the_run_with_its_facts():
    chosen = step_of(12, blows_up_at=3)
    with pytest.raises(NotFinite, match=r"update 4: loss inf.*last finite loss") as found:
        run((chosen, compiled(chosen)))
    assert found.value.data["update"] == 4
    assert found.value.data["last_finite_loss"] > 0


def test_a_profile_traces_the_updates_that_were_asked_for(linear, tmp_path):
    run(linear, on_state=[Profile(tmp_path, start=3, count=2)])
    assert list(tmp_path.rglob("*.xplane.pb"))
    run(linear, total=4, on_state=[Profile(tmp_path / "cut", start=3, count=2)])
    assert list((tmp_path / "cut").rglob("*.xplane.pb"))


def test_the_limit_is_an_error_with_the_updates_that_fit():
    clock = Clock(100, limit_s=1.0, started=Clock(1)._loop - 5)
    clock.done = 10
    with pytest.raises(TimeLimit) as found:
        clock.check()
    assert (found.value.data["phase"], found.value.data["updates"]) == ("limit", 10)


@pytest.mark.parametrize("text, kind", [("RESOURCE_EXHAUSTED: x", OutOfMemory), ("INTERNAL: x", DeviceFailure)])
def test_what_the_runtime_says_is_typed(text, kind):
    with pytest.raises(kind), memory.watched():
        raise jax.errors.JaxRuntimeError(text)


def test_moments_and_copies_lie_as_their_parameters_do():
    mesh = Mesh(np.array(jax.devices()[:1]), ("data",))
    rules = Layout(mesh, lambda path, shape: PartitionSpec("data") if path == "w" else PartitionSpec())
    placed = rules.state(jax.eval_shape(step_of(12).create))
    specs = {
        leaf.sharding.spec for leaf in (placed.params["w"], placed.opt_state[0].mu["w"], placed.opt_state[0].nu["w"])
    }
    assert specs == {PartitionSpec("data")}
    assert placed.params["b"].sharding.spec == placed.step.sharding.spec == PartitionSpec()


def test_fsdp_splits_the_largest_dimension_that_the_devices_can_share():
    rule = fsdp("data", 4, smallest=8)
    assert rule("w", (6, 8, 16)) == PartitionSpec(None, None, "data")
    assert rule("w", (8, 6)) == PartitionSpec("data")
    assert rule("w", (6, 6)) == rule("w", (4,)) == replicated("w", (8,)) == PartitionSpec()


@pytest.mark.parametrize("saving", list(Saving))
def test_the_last_checkpoints_are_kept_and_a_donated_state_is_saved_as_it_was(linear, tmp_path, saving):
    chosen, update = linear
    state, sums = chosen.initial(), []
    with Checkpoints(tmp_path, kept=2, saving=saving) as checkpoints:
        for t in range(4):
            sums.append(float(state.params["w"].sum()))
            checkpoints.save(t, state)
            state, _ = update(state, chosen.layout.place(batch_of(t)))
        checkpoints.wait()
        assert sorted(int(path.name) for path in tmp_path.iterdir()) == [2, 3]
        assert float(checkpoints.restore(chosen.shapes).params["w"].sum()) == sums[-1]


def test_another_run_is_refused_by_the_keys_that_differ(tmp_path):
    with held(tmp_path):
        begin(tmp_path, {"a": {"b": 1}, "c": 2})
        (tmp_path / "metrics.jsonl").write_text("{}\n")
        begin(tmp_path, {"a": {"b": 1}, "c": 2})
        with pytest.raises(ValueError, match=r"a\.b: 1 there, 3 asked") as found:
            begin(tmp_path, {"a": {"b": 3}, "c": 2})
        assert "c:" not in str(found.value)
        with pytest.raises(ValueError, match="another process trains"), held(tmp_path, 0.0):
            pass


def test_the_kit_knows_no_task_and_no_candidate():
    names = [path.stem for path in sources.path("aira_jax.train").parent.glob("*.py") if path.stem != "__init__"]
    reached = sources.closure([f"aira_jax.train.{name}" for name in names])
    assert {name.split(".")[1] for name in reached if "." in name} == {"train", "core"}
