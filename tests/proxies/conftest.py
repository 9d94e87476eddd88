"""Tiny presets and programs that compile fast; programs are shared by all tests of a worker."""

import dataclasses

import pytest

from aira_jax.proxies import fidelity, mad
from aira_jax.proxies.compile_cache import Compiler
from aira_jax.proxies.train import Lane

TINY = dataclasses.replace(
    fidelity.get("smoke"),
    name="tiny",
    d=16,
    seq_len=dict(zip(fidelity.TASKS, (16, 24, 16, 8, 8, 24), strict=True)),
    copied=4,
    train=40,
    test=24,
    batch=16,
    epochs=2,
)


@pytest.fixture(scope="session")
def compiler(tmp_path_factory):
    return Compiler(tmp_path_factory.mktemp("programs"))


@pytest.fixture(scope="session")
def tiny():
    return TINY


@pytest.fixture(scope="session")
def lane():
    """Makes the lane of a task at a preset."""

    def make(task="in-context-recall", seed=0, preset=TINY):
        data = mad.make(task, preset.train, preset.test, **preset.fields(task))
        return Lane(task, data.train, data.test, data.vocab, seed)

    return make
