"""Lowering for absent devices: finds missing primitives and layout failures, not ptxas or register limits."""

import contextlib
import enum

import jax
from jax.sharding import AbstractMesh


class Target(enum.Enum):
    """Abstract devices: (device kind, cores, platform)."""

    H100 = ("NVIDIA H100 80GB HBM3", 132, "cuda")
    TPU = ("TPU v5 lite", 1, "tpu")


def abstract_mesh(target: Target) -> AbstractMesh:
    """A mesh of one abstract device."""
    from jax.sharding import AbstractDevice

    kind, cores, platform = target.value
    device = AbstractDevice(kind, num_cores=cores, platform=platform)
    return AbstractMesh((1,), ("x",), abstract_device=device)


@contextlib.contextmanager
def device(target: Target):
    """Makes `target` the device for which `auto` decides and kernels lower."""
    with jax.sharding.use_abstract_mesh(abstract_mesh(target)):
        yield


def lower(fn, *args, target: Target):
    """The lowered module of jit(fn)(*args) for `target`; args may be jax.ShapeDtypeStruct."""
    with device(target):
        return jax.jit(fn).trace(*args).lower(lowering_platforms=(target.value[2],))
