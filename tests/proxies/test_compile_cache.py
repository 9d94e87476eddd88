"""Compiled programs on disk: found again, never trusted when damaged, separate for separate programs."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aira_jax.proxies import compile_cache
from aira_jax.proxies.compile_cache import Compiler

X = jnp.arange(3.0)


def double(x):
    return {"y": 2 * x}


@pytest.fixture
def compiler(tmp_path):
    return Compiler(tmp_path)


def entry(compiler):
    [path] = (compiler.directory / compile_cache.machine()).iterdir()
    return path


def test_the_second_call_loads_the_program(compiler):
    first = compiler(jax.jit(double), X, depends_on=("double",))
    second = compiler(jax.jit(double), X, depends_on=("double",))
    assert (first.loaded, second.loaded) == (False, True)
    np.testing.assert_array_equal(second.call(X)["y"], [0, 2, 4])
    assert entry(compiler).suffix == ".xla"


def test_other_shapes_descriptions_and_options_are_other_programs(compiler):
    compiler(jax.jit(double), X, depends_on=("double",))
    for x, depends_on, options in (
        (jnp.arange(4.0), ("double",), {}),
        (X.astype(jnp.int32), ("double",), {}),
        (X, ("twice",), {}),
        (X, ("double",), {"xla_backend_optimization_level": "0"}),
    ):
        assert not compiler(jax.jit(double), x, depends_on=depends_on, **options).loaded
    with jax.default_matmul_precision("highest"):
        assert not compiler(jax.jit(double), X, depends_on=("double",)).loaded


@pytest.mark.parametrize("damage", [lambda old: old[: len(old) // 2], lambda old: old[:-1] + b"?", lambda old: b""])
def test_a_damaged_entry_is_removed_and_built_again(compiler, damage, caplog):
    compiler(jax.jit(double), X, depends_on=("double",))
    path = entry(compiler)
    path.write_bytes(damage(path.read_bytes()))
    with caplog.at_level(logging.WARNING):
        again = compiler(jax.jit(double), X, depends_on=("double",))
    assert not again.loaded
    assert "is damaged" in caplog.text
    assert compiler(jax.jit(double), X, depends_on=("double",)).loaded


def test_without_a_directory_nothing_is_kept():
    assert not Compiler()(jax.jit(double), X, depends_on=()).loaded
    assert not Compiler()(jax.jit(double), X, depends_on=()).loaded


def test_the_directory_names_backend_and_machine():
    assert compile_cache.machine().startswith(jax.default_backend() + "-")
