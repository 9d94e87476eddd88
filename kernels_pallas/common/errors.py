"""Input checks of the public operators: messages name the operator, the argument, what came and what is needed."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp


def fail(op: str, text: str):
    """Raises the one kind of error that users see."""
    raise ValueError(f"{op}: {text}")


def is_concrete(x) -> bool:
    """Whether the values of `x` can be looked at (outside of jit, grad and vmap)."""
    return not isinstance(x, jax.core.Tracer)


def bind(op: str, name: str, array, dims: Sequence[str], sizes: dict[str, int]) -> None:
    """Checks `array` against the symbolic shape `dims` and records the letters met for the first time in `sizes`.

    A dim is a letter, or an expression already present in `sizes` (such as "W-1").
    """
    want = f"[{','.join(dims)}]"
    known = ", ".join(f"{d}={sizes[d]}" for d in dims if d in sizes)
    shape = tuple(getattr(array, "shape", ()))
    if len(shape) != len(dims):
        fail(op, f"{name} has shape {list(shape)}; needs {want}" + (f" with {known}" if known else ""))
    for dim, size in zip(dims, shape, strict=True):
        if sizes.setdefault(dim, size) != size:
            fail(op, f"{name} has shape {list(shape)}; needs {want} with {known}")


def positive(op: str, **sizes: int) -> None:
    """Refuses empty dims."""
    for name, size in sizes.items():
        if size == 0:
            what = "sequences" if name in ("L", "c") else "inputs"
            fail(op, f"{name}=0; drop empty {what} before the call")


def activation_dtype(op: str, name: str, array) -> jnp.dtype:
    """The dtype of a main input: bfloat16, float32 or float64."""
    dtype = jnp.dtype(array.dtype)
    if dtype == jnp.float16:
        fail(op, f"{name} is float16, whose range is too small for decays and gates; use bfloat16")
    if dtype not in (jnp.bfloat16, jnp.float32, jnp.float64):
        fail(op, f"{name} is {dtype}; needs bfloat16, float32 or float64")
    return dtype


def same_dtype(op: str, name: str, array, like: str, dtype) -> None:
    """Refuses silent mixing of dtypes."""
    if jnp.dtype(array.dtype) != dtype:
        fail(op, f"{name} is {array.dtype} but {like} is {dtype}; cast {name} to {like}.dtype")


def integer(op: str, name: str, array) -> None:
    """Refuses ids and labels that are not integers."""
    if not jnp.issubdtype(array.dtype, jnp.integer):
        fail(op, f"{name} is {array.dtype}; needs an integer dtype")
