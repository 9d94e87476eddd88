"""Training by programs that were exported from a model: the same run, and what is refused."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from lra_models import GOOD, SMALL, job, listops

from aira_jax.core.failures import Failure
from lra import model, network, train
from lra.failures import CandidateFault, Kind
from lra.job import Job

TRAINED = SMALL.replace(num_train_steps=6, eval_frequency=3, warmup=2)


@pytest.fixture(scope="module")
def chosen(tmp_path_factory) -> Job:
    """A job of a model with dropout and running statistics."""
    folder = tmp_path_factory.mktemp("network")
    return job(listops(folder / "data"), folder / "run", GOOD, TRAINED)


@pytest.fixture(scope="module")
def programs(chosen, tmp_path_factory):
    folder = tmp_path_factory.mktemp("programs")
    train.export(chosen, folder)
    return folder


def test_programs_train_the_model_bit_for_bit_without_its_code(chosen, programs, tmp_path):
    own = train.run(chosen)
    loaded = network.load(programs, "listops", chosen.settings)
    stranger = job(chosen.data, tmp_path / "run", "raise RuntimeError('imported')\n" + GOOD, TRAINED)
    other = train.run(stranger, network=loaded)
    assert (own.test_accuracy, own.params) == (other.test_accuracy, other.params)
    pairs = zip(jax.tree.leaves(own.trained.params), jax.tree.leaves(other.trained.params), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)
    stats = zip(jax.tree.leaves(own.trained.batch_stats), jax.tree.leaves(other.trained.batch_stats), strict=True)
    assert all(np.array_equal(a, b) for a, b in stats)


def test_memory_is_refused_from_the_programs_alone(chosen, programs, tmp_path):
    loaded = network.load(programs, "listops", chosen.settings)
    small = dataclasses.replace(chosen, workdir=tmp_path / "run", memory_limit=1000)
    with pytest.raises(CandidateFault, match="choose a smaller batch") as found:
        train.run(small, network=loaded)
    assert found.value.kind is Kind.OOM_PREFLIGHT


def test_programs_of_other_settings_are_refused(programs):
    with pytest.raises(CandidateFault) as found:
        network.load(programs, "listops", TRAINED.replace(batch_size=32))
    assert found.value.failure is Failure.SHAPE


@pytest.mark.parametrize("claim", [{"params": 0}, {"params": 10**9}, {"params": True}, {"params": "1"}, [], "[" * 900])
def test_a_manifest_that_claims_something_else_is_refused(programs, tmp_path, claim):
    for path in programs.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / network.MANIFEST).write_text(claim if isinstance(claim, str) else json.dumps(claim))
    with pytest.raises(CandidateFault):
        network.load(tmp_path, "listops", TRAINED)


def test_a_model_that_asks_the_host_is_refused_with_the_mend(chosen, tmp_path):
    source = GOOD.replace("import flax.linen as nn", "import jax, flax.linen as nn").replace(
        "mask = (inputs > 0)[..., None]",
        "inputs = jax.pure_callback(lambda a: a, jax.ShapeDtypeStruct(inputs.shape, inputs.dtype), inputs)\n"
        "        mask = (inputs > 0)[..., None]",
    )
    with pytest.raises(CandidateFault, match="from its inputs and parameters alone") as found:
        train.export(job(chosen.data, tmp_path / "run", source, TRAINED), tmp_path / "programs")
    assert found.value.failure is Failure.INTERFACE


def test_the_model_of_a_pair_is_exported_too(tmp_path):
    from lra.settings import profile

    chosen = profile("retrieval", "smoke")
    settings = chosen.settings.replace(batch_size=2, max_length=16)
    net = model.build(model.named("transformer", "retrieval"), "retrieval", settings)
    network.export(net, "retrieval", settings, tmp_path)
    assert network.load(tmp_path, "retrieval", settings).count > 0
