"""Compiling for H100s and H200s on a machine that has none: registers, spills, memory and messages as facts.

    from aira_jax.h200 import compile_for
    report = compile_for(step, state, batch, devices=8, hosts=2)
    report.memory.temporaries, report.collectives, report.kernels, str(report.estimate)

The extra h200 holds the compiler (`make h200`). Work in a process of its own with JAX_PLATFORMS=cpu; nothing here is
imported by a normal run.
"""

from aira_jax.h200.compiler import Compiler, Memory, MissingCompiler, Report, compile_for, mesh, missing
from aira_jax.h200.devices import GPUS, Cluster, Gpu
from aira_jax.h200.estimate import Estimate, Floor
from aira_jax.h200.hlo import Collective, Module, Step
from aira_jax.h200.kernels import Kernel
from aira_jax.h200.occupancy import LaunchError, Occupancy, occupancy

__all__ = [
    "GPUS",
    "Cluster",
    "Collective",
    "Compiler",
    "Estimate",
    "Floor",
    "Gpu",
    "Kernel",
    "LaunchError",
    "Memory",
    "MissingCompiler",
    "Module",
    "Occupancy",
    "Report",
    "Step",
    "compile_for",
    "mesh",
    "missing",
    "occupancy",
]
