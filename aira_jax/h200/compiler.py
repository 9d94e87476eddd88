"""XLA:GPU without a GPU: the packages, the described devices, and one compilation with everything it writes down."""

import contextlib
import dataclasses
import functools
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import jax
import numpy as np
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec

from aira_jax.core import machine
from aira_jax.h200 import hlo
from aira_jax.h200.devices import Cluster
from aira_jax.h200.estimate import Estimate, estimate
from aira_jax.h200.kernels import Kernel, kernels, ptxas_version

PACKAGES = ("jax-cuda12-plugin", "jax-cuda12-pjrt", "nvidia-cuda-nvcc-cu12")
REMEDY = "run `make h200`, or pip install 'aira-jax[h200]'"


class MissingCompiler(ValueError):
    """The extra h200 is not installed, or does not match the installed jax."""


@dataclasses.dataclass(frozen=True)
class Compiler:
    """Who spoke. `name` is always "XLA:GPU": there is no fall-back."""

    name: str
    jax: str
    plugin: str
    ptxas: str


@dataclasses.dataclass(frozen=True)
class Memory:
    """Bytes of one device, from XLA's buffer assignment. Outputs that alias arguments are in both."""

    arguments: int
    outputs: int
    aliases: int
    temporaries: int

    @classmethod
    def of(cls, compiled) -> "Memory":
        """That of a compiled program, on whatever platform."""
        found = compiled.memory_analysis()
        return cls(
            found.argument_size_in_bytes,
            found.output_size_in_bytes,
            found.alias_size_in_bytes,
            found.temp_size_in_bytes,
        )

    @property
    def peak(self) -> int:
        return self.arguments + self.outputs - self.aliases + self.temporaries


@dataclasses.dataclass(frozen=True)
class Report:
    """What the compiler says about one program on one cluster."""

    cluster: Cluster
    compiler: Compiler
    memory: Memory
    collectives: tuple[hlo.Collective, ...]
    custom_calls: Mapping[str, int]
    kernels: tuple[Kernel, ...]
    estimate: Estimate
    unknown_loops: tuple[str, ...]
    compile_s: float
    text: str = dataclasses.field(repr=False)

    def pallas(self) -> tuple[Kernel, ...]:
        """The kernels that are ours, not XLA's."""
        return tuple(kernel for kernel in self.kernels if kernel.backend != "xla")


def missing() -> str | None:
    """Why this environment cannot compile for Hopper GPUs; None if it can."""
    found = machine.versions(PACKAGES)
    absent = [name for name, version in found.items() if version is None]
    if absent:
        return f"compiling for Hopper needs the extra h200 ({', '.join(absent)} not installed): {REMEDY}"
    for name in PACKAGES[:2]:
        if found[name] != jax.__version__:
            return f"{name} {found[name]} does not match jax {jax.__version__}: {REMEDY}, which takes equal versions"
    return None


@functools.cache
def topology(cluster: Cluster):
    """The described devices, the same ones at every call. MissingCompiler without the packages."""
    from jax.experimental import topologies

    if reason := missing():
        raise MissingCompiler(reason)
    describe = lambda: topologies.get_topology_desc(
        platform="cuda", topology_name="", target_config=cluster.target_config(), topology=cluster.topology
    )
    try:
        return describe()
    except NotImplementedError:  # jax skipped the plugin, because no GPU is at hand
        _register()
        return describe()


def _register() -> None:
    """Loads the plugin as jax does where JAX_PLATFORMS names no GPU: without looking for a driver."""
    import jax_plugins.xla_cuda12

    before = jax.config.jax_platforms
    jax.config.update("jax_platforms", "cpu")
    try:
        jax_plugins.xla_cuda12.initialize()
    finally:
        jax.config.update("jax_platforms", before)


def mesh(axes: Mapping[str, int], cluster: Cluster) -> Mesh:
    """A mesh of the described devices; axes in order, the last one varies fastest and so stays inside a host."""
    cluster.fits(dict(axes))
    devices = np.array(topology(cluster).devices).reshape(tuple(axes.values()))
    return Mesh(devices, tuple(axes), axis_types=(jax.sharding.AxisType.Auto,) * len(axes))


def compile_for(
    fn: Callable,
    *args,
    devices: int = 1,
    hosts: int = 1,
    kind: str = "H200",
    axes: Mapping[str, int] | Mesh | AbstractMesh | None = None,
) -> Report:
    """Compiles `fn(*args)` for GPUs that need not be at hand; nothing runs, no CPU lowering ever stands in.

    Args:
      fn: a function, or what jax.jit made of one (its donations and output shardings then hold).
      args: pytrees of arrays or jax.ShapeDtypeStruct. A NamedSharding on any mesh (of CPU devices, abstract, or of
        `mesh`) is carried over to a mesh of the described devices with the same axes; what has none is replicated.
      devices: GPUs of one host. hosts: machines. kind: "H200" or "H100".
      axes: the mesh that is set while `fn` is traced, as axis -> size or a mesh; by default that of `args`.

    Returns: `Report`. Bytes and times are of one device.
    Raises: MissingCompiler without the extra h200 or with another version of it; LaunchError for a kernel that no
    multiprocessor can hold; ValueError for an unknown kind or a mesh that is not hosts x devices.
    """
    cluster = Cluster(kind, hosts, devices)
    chosen = _mesh(axes, args, cluster)
    placed = jax.tree.map(lambda leaf: _place(leaf, chosen), args)
    jitted = fn if hasattr(fn, "lower") else jax.jit(fn)
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, jax.set_mesh(chosen):
        dump = Path(folder)
        (dump / "mosaic").mkdir()
        with _mosaic_writes(dump / "mosaic"), warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*donated.*")
            compiled = jitted.lower(*placed).compile(compiler_options=_options(dump))
        seconds = time.monotonic() - start
        text = compiled.as_text()
        module = hlo.Module(text)
        found = kernels(cluster.gpu, module, dump)
    return _report(cluster, compiled, module, found, text, seconds)


def _options(dump: Path) -> dict:
    return {
        "xla_dump_to": str(dump),
        "xla_dump_hlo_pass_re": "none",
        "xla_backend_optimization_level": 3,  # whatever XLA_FLAGS says for the CPU
    }


def _report(cluster: Cluster, compiled, module: hlo.Module, found, text: str, seconds: float) -> Report:
    steps = module.steps(cluster.devices, cluster.size)
    return Report(
        cluster=cluster,
        compiler=Compiler("XLA:GPU", jax.__version__, machine.version(PACKAGES[0]), ptxas_version()),
        memory=Memory.of(compiled),
        collectives=hlo.messages(steps),
        custom_calls=module.custom_calls(),
        kernels=found,
        estimate=estimate(cluster, steps),
        unknown_loops=tuple(module.unknown_loops()),
        compile_s=seconds,
        text=text,
    )


def _mesh(axes, args, cluster: Cluster) -> Mesh:
    if axes is None:
        shardings = [getattr(leaf, "sharding", None) for leaf in jax.tree.leaves(args)]
        meshes = [s.mesh for s in shardings if isinstance(s, NamedSharding)]
        axes = meshes[0] if meshes else {"devices": cluster.size}
        for other in meshes[1:]:
            if other.shape != axes.shape:
                raise ValueError(f"arguments lie on different meshes: {dict(axes.shape)} and {dict(other.shape)}")
    return mesh(dict(getattr(axes, "shape", axes)), cluster)


def _place(leaf, chosen: Mesh) -> jax.ShapeDtypeStruct:
    spec = leaf.sharding.spec if isinstance(getattr(leaf, "sharding", None), NamedSharding) else PartitionSpec()
    shape, dtype = np.shape(leaf), jax.dtypes.result_type(leaf) if not hasattr(leaf, "dtype") else leaf.dtype
    return jax.ShapeDtypeStruct(shape, dtype, sharding=NamedSharding(chosen, spec))


@contextlib.contextmanager
def _mosaic_writes(folder: Path) -> Iterator[None]:
    """Mosaic GPU takes what it writes from the environment, at every compilation."""
    wanted = {"MOSAIC_GPU_DUMP_TO": str(folder), "MOSAIC_GPU_DUMP_PTX": "1", "MOSAIC_GPU_DUMP_PTXAS": "1"}
    wanted["MOSAIC_GPU_DUMP_HOST_LLVM"] = "1"
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
