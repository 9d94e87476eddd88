"""Programs as files: what is kept, and what is refused before it runs, whoever wrote the file."""

import os

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from aira_jax.programs import policy, store
from aira_jax.programs.store import ProgramError, Reason

X = jax.ShapeDtypeStruct((2, 3), jnp.float32)
KEY = jax.ShapeDtypeStruct((2,), jnp.uint32)


def pure(x, key):
    draw = jax.random.normal(jax.random.wrap_key_data(key), x.shape)
    square = jnp.linalg.qr(x.T)[0].T + jax.lax.erf(x) + draw
    return square, jax.nn.softmax(x).sum()


def forge(folder, function, *inputs, checks=()):
    """A file such as a hostile process may write, whatever `save` refuses."""
    disabled = [jax.export.DisabledSafetyCheck.custom_call(name) for name in checks]
    exported = jax.export.export(jax.jit(function), disabled_checks=disabled)(*inputs)
    (folder / "f.program").write_bytes(exported.serialize())


def refused(folder, inputs=(X,), outputs=(X,)) -> ProgramError:
    with pytest.raises(ProgramError) as found:
        store.load(folder, "f", inputs, outputs)
    return found.value


def test_a_program_computes_what_its_function_computed(tmp_path):
    store.save(tmp_path, "f", pure, [X, KEY])
    program = store.load(tmp_path, "f", [X, KEY])
    x, key = np.arange(6, dtype=np.float32).reshape(2, 3), np.array([1, 2], np.uint32)
    for found, expected in zip(jax.jit(program)(x, key), jax.jit(pure)(x, key), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert [shape.shape for shape in program.outputs] == [(2, 3), ()]


def host(x):
    return (jax.pure_callback(lambda a: np.asarray(a) + 1, X, x),)


def printing(x):
    jax.debug.print("{}", x)
    return (x,)


def told(x):
    jax.debug.callback(lambda a: None, x)
    return (x,)


@pytest.mark.parametrize("function", [host, printing, told])
def test_a_callback_into_the_host_is_not_exported(tmp_path, function):
    with pytest.raises(ProgramError) as found:
        store.save(tmp_path, "f", function, [X])
    assert found.value.reason is Reason.IMPURE
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "target",
    [
        *("xla_ffi_python_cpu_callback", "mosaic_gpu_v2", "tpu_custom_call", "system", "tf.call_tf_function"),
        *("__gpu$xla.gpu.triton", "mhlo.anything", "lapack_system_ffi", "cusolver_anything", "Sharding2"),
    ],
)
def test_a_forged_call_of_host_code_is_refused_by_name(tmp_path, target):
    forge(tmp_path, lambda x: (jax.ffi.ffi_call(target, X)(x),), X, checks=[target])
    error = refused(tmp_path)
    assert error.reason is Reason.IMPURE
    assert target in str(error)


def test_routines_of_numeric_code_are_allowed_and_every_one_by_its_full_name(tmp_path):
    def routines(x):
        y = jnp.linalg.svd(x @ x.T, compute_uv=False).sum() + jax.lax.erf(x) + jnp.sinh(x)
        return (y + jax.lax.top_k(x, 1)[0] + jnp.linalg.cholesky(x @ x.T).sum(),)

    store.save(tmp_path, "f", routines, [X])
    assert store.load(tmp_path, "f", [X], [X])
    assert not {name for name in policy.ROUTINES if "*" in name or "callback" in name or "triton" in name}


def test_a_program_of_very_many_operations_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(policy, "MOST_OPERATIONS", 20)
    forge(tmp_path, lambda x: (sum((x + n for n in range(30)), x),), X)
    error = refused(tmp_path)
    assert error.reason is Reason.IMPURE
    assert "operations" in str(error)


def test_donated_arguments_of_a_forged_program_stay_as_they_were(tmp_path):
    exported = jax.export.export(jax.jit(lambda x: (x * 0,), donate_argnums=0))(X)
    (tmp_path / "f.program").write_bytes(exported.serialize())
    program = store.load(tmp_path, "f", [X], [X])
    x = jnp.ones((2, 3))
    assert float(jax.jit(program)(x)[0].sum()) == 0
    assert float(x.sum()) == 6


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.int32, jnp.complex64])
def test_results_of_another_dtype_are_refused(tmp_path, dtype):
    forge(tmp_path, lambda x: (x.astype(dtype),), X)
    assert refused(tmp_path).reason is Reason.SHAPES


def test_a_call_that_hides_in_a_branch_of_a_loop_is_found(tmp_path):
    def nested(x):
        def body(carry):
            return jax.lax.cond(carry.sum() > 0, lambda c: jax.ffi.ffi_call("system", X)(c), lambda c: c, carry)

        return (jax.lax.while_loop(lambda c: c.sum() < 9, body, x),)

    forge(tmp_path, nested, X, checks=["system"])
    assert refused(tmp_path).reason is Reason.IMPURE


def test_other_shapes_and_nested_results_are_refused(tmp_path):
    forge(tmp_path, lambda x: (x,), X)
    assert refused(tmp_path, inputs=(KEY,)).reason is Reason.SHAPES
    assert refused(tmp_path, outputs=(X, X)).reason is Reason.SHAPES
    forge(tmp_path, lambda x: {"a": x}, X)
    assert refused(tmp_path).reason is Reason.SHAPES


def test_what_is_no_program_is_refused(tmp_path):
    assert refused(tmp_path).reason is Reason.ABSENT
    path = tmp_path / "f.program"
    for content in (b"", b"\0" * 100, os.urandom(1000)):
        path.write_bytes(content)
        assert refused(tmp_path).reason is Reason.UNREADABLE
    forge(tmp_path, lambda x: (x,), X)
    path.write_bytes(path.read_bytes()[:-400])
    assert refused(tmp_path).reason is Reason.UNREADABLE


def test_links_pipes_and_huge_files_are_not_read(tmp_path):
    path = tmp_path / "f.program"
    path.symlink_to("/etc/passwd")
    assert refused(tmp_path).reason is Reason.ABSENT
    path.unlink()
    os.mkfifo(path)
    assert refused(tmp_path).reason is Reason.UNREADABLE
    path.unlink()
    with path.open("wb") as file:
        file.truncate(store.LARGEST_BYTES + 1)
    assert refused(tmp_path).reason is Reason.UNREADABLE


def test_a_program_of_another_platform_is_refused(tmp_path):
    exported = jax.export.export(jax.jit(lambda x: (x,)), platforms=["tpu"])(X)
    (tmp_path / "f.program").write_bytes(exported.serialize())
    assert refused(tmp_path).reason is Reason.PLATFORM
