"""The only module that imports Pallas backends; says why one is missing instead of failing at import.

Nothing is imported before it is asked for, so `import kernels_pallas` works without Pallas.
"""

import functools
import importlib
import inspect
import types

import jax

_MODULES = {
    "triton": "jax.experimental.pallas.triton",
    "mosaic_gpu": "jax.experimental.pallas.mosaic_gpu",
    "tpu": "jax.experimental.pallas.tpu",
}


@functools.cache
def missing(name: str) -> str | None:
    """Why the Pallas backend "triton", "mosaic_gpu" or "tpu" cannot be used with the installed jax; None if it can."""
    try:
        importlib.import_module(_MODULES[name])
    except ImportError as error:
        return f"jax {jax.__version__} has no Pallas backend {name} ({error})"
    return None


def load(name: str) -> types.ModuleType:
    """The backend's module; ImportError when `missing(name)`."""
    return importlib.import_module(_MODULES[name])


def pallas() -> types.ModuleType:
    """jax.experimental.pallas."""
    return importlib.import_module("jax.experimental.pallas")


def triton_params(num_warps: int, num_stages: int):
    """Compiler parameters; they also select the Triton backend where Mosaic is the default (jax 0.9 to 0.10)."""
    return load("triton").CompilerParams(num_warps=num_warps, num_stages=num_stages)


def mosaic_gpu_load(ref, layout, optimized: bool = True):
    """The values of `ref` in registers in `layout`; older versions of jax want an index, which is empty here."""
    load_ref = load("mosaic_gpu").load
    index = ((),) if "idx" in inspect.signature(load_ref).parameters else ()
    return load_ref(ref, *index, layout=layout, optimized=optimized)


def interprets_mosaic_gpu() -> bool:
    """Whether the installed jax can interpret Mosaic GPU kernels (0.11 and later)."""
    return missing("mosaic_gpu") is None and hasattr(load("mosaic_gpu"), "InterpretGPUParams")


def sm_count() -> int:
    """Multiprocessors of the GPU of the current mesh, else of the one at hand; 132 (H100, H200) where unknown."""
    mesh = jax.sharding.get_abstract_mesh()
    device = None if mesh.empty else getattr(mesh, "abstract_device", None)
    cores = device.num_cores if device is not None else getattr(jax.devices()[0], "core_count", None)
    return cores or 132
