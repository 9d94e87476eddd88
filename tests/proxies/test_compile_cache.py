"""Compiled programs on disk: found again, never trusted when damaged, separate for separate programs."""

import hashlib
import logging
import pathlib
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aira_jax.proxies import compile_cache
from aira_jax.proxies.compile_cache import Compiler

X = jnp.arange(3.0)


class Bomb:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return pathlib.Path.touch, (pathlib.Path(self.path),)


def double(x):
    return {"y": 2 * x}


@pytest.fixture
def compiler(tmp_path):
    return Compiler(tmp_path)


def entry(compiler):
    [path] = (compiler.directory / compile_cache.machine()).iterdir()
    return path


def test_the_second_call_loads_the_program(compiler):
    first = compiler(jax.jit(double), X, about=("double",))
    second = compiler(jax.jit(double), X, about=("double",))
    assert (first.loaded, second.loaded) == (False, True)
    np.testing.assert_array_equal(second.call(X)["y"], [0, 2, 4])
    assert entry(compiler).suffix == ".xla"


def test_other_shapes_descriptions_and_options_are_other_programs(compiler):
    compiler(jax.jit(double), X, about=("double",))
    for x, about, options in (
        (jnp.arange(4.0), ("double",), {}),
        (X.astype(jnp.int32), ("double",), {}),
        (X, ("twice",), {}),
        (X, ("double",), {"xla_backend_optimization_level": "0"}),
    ):
        assert not compiler(jax.jit(double), x, about=about, **options).loaded
    with jax.default_matmul_precision("highest"):
        assert not compiler(jax.jit(double), X, about=("double",)).loaded


@pytest.mark.parametrize("damage", [lambda old: old[: len(old) // 2], lambda old: old[:-1] + b"?", lambda old: b""])
def test_a_damaged_entry_is_removed_and_built_again(compiler, damage, caplog):
    compiler(jax.jit(double), X, about=("double",))
    path = entry(compiler)
    path.write_bytes(damage(path.read_bytes()))
    with caplog.at_level(logging.WARNING):
        again = compiler(jax.jit(double), X, about=("double",))
    assert not again.loaded
    assert "is damaged" in caplog.text
    assert compiler(jax.jit(double), X, about=("double",)).loaded


def test_an_entry_that_a_stranger_wrote_is_never_unpickled(compiler, tmp_path):
    compiler(jax.jit(double), X, about=("double",))
    path, ran = entry(compiler), tmp_path / "ran"
    content = pickle.dumps(Bomb(str(ran)))
    path.write_bytes(hashlib.sha256(content).digest() + content)
    assert not compiler(jax.jit(double), X, about=("double",)).loaded
    assert not ran.exists()


def test_an_entry_moved_to_another_name_is_no_program_of_that_name(compiler):
    compiler(jax.jit(double), X, about=("double",))
    content = entry(compiler).read_bytes()
    entry(compiler).unlink()
    compiler(jax.jit(lambda x: {"y": 3 * x}), X, about=("triple",))
    entry(compiler).write_bytes(content)
    again = compiler(jax.jit(lambda x: {"y": 3 * x}), X, about=("triple",))
    assert (again.loaded, again.call(X)["y"].tolist()) == (False, [0.0, 3.0, 6.0])


@pytest.mark.parametrize("spoil", ["readable", "off"])
def test_nothing_is_kept_where_the_secret_is_none_or_programs_are_off(tmp_path, monkeypatch, spoil):
    if spoil == "readable":
        (tmp_path / ".secret").write_bytes(b"x" * 32)
        (tmp_path / ".secret").chmod(0o644)
    else:
        monkeypatch.setenv(compile_cache.VARIABLE, "0")
    compiler = Compiler(tmp_path)
    compiler(jax.jit(double), X, about=("double",))
    assert not compiler(jax.jit(double), X, about=("double",)).loaded
    assert not (tmp_path / compile_cache.machine()).exists()


def test_without_a_directory_nothing_is_kept():
    assert not Compiler()(jax.jit(double), X, about=()).loaded
    assert not Compiler()(jax.jit(double), X, about=()).loaded


def test_the_directory_names_backend_and_machine():
    assert compile_cache.machine().startswith(jax.default_backend() + "-")


def test_a_program_that_jax_keeps_itself_is_stored_so_that_it_runs(tmp_path):
    def program(x):
        return jnp.sort(x)[1:] * 3

    x = jnp.arange(7.0)
    jax.jit(program).lower(x).compile()  # jax's cache has it (tests/conftest.py)
    for name in ("first", "second"):
        jax.clear_caches()
        Compiler(tmp_path / name)(jax.jit(program), x, about=("sorted",))
        loaded = Compiler(tmp_path / name)(jax.jit(program), x, about=("sorted",))
        assert loaded.loaded
        assert loaded.call(x).tolist() == [3.0 * i for i in range(1, 7)]
