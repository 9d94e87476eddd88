"""Which class of failure an error of a candidate's code is, wherever it arises."""

import flax.linen as nn
import jax.numpy as jnp
import pytest

from aira_jax.core.failures import Failure
from lra import model
from lra.failures import CLASSES, CandidateFault, Kind

x_BL = jnp.zeros((2, 3))


def mismatched_parameter():
    nn.Dense(3).apply({"params": {"kernel": jnp.zeros((5, 3)), "bias": jnp.zeros(3)}}, x_BL)


@pytest.mark.parametrize(
    "run",
    [
        lambda: x_BL @ jnp.zeros((4, 4)),
        lambda: x_BL + jnp.zeros((4, 4)),
        lambda: x_BL.reshape(5),
        lambda: jnp.concatenate([x_BL, jnp.zeros(4)]),
        lambda: jnp.einsum("ij,jk->ik", x_BL, jnp.zeros((4, 4))),
        lambda: x_BL.sum(axis=5),
        lambda: x_BL[:, :, 0, 0],
        mismatched_parameter,
    ],
)
def test_an_array_operation_that_refuses_its_operands_is_a_shape(run):
    with pytest.raises(CandidateFault) as found:
        model.traced(nn.Dense(1), "init", run)
    assert (found.value.kind, found.value.failure) == (Kind.INIT, Failure.SHAPE)


@pytest.mark.parametrize("error", [ValueError("bad shape, broadcast, dimension"), KeyError("rank"), TypeError("x")])
def test_what_the_candidate_raises_itself_is_none_however_it_words_it(error):
    def run():
        raise error

    with pytest.raises(CandidateFault) as found:
        model.traced(nn.Dense(1), "init", run)
    assert (found.value.kind, found.value.failure) == (Kind.INIT, Failure.EXIT)


def test_every_kind_has_a_class_and_a_fault_survives_its_way_between_processes():
    assert set(CLASSES) == set(Kind)
    fault = CandidateFault(Kind.INIT, "x", failure=Failure.SHAPE, line=3)
    again = CandidateFault.from_json(fault.to_json())
    assert (again.kind, again.failure, again.message, again.details) == (Kind.INIT, Failure.SHAPE, "x", {"line": 3})
