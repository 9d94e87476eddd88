"""The real step of a pretraining, compiled for GPUs that are not at hand: memory, messages, floors, hours.

Nothing runs. With the extra h200 XLA's compiler for Hopper speaks; without it the program is lowered for CPUs, and the
report says so: sizes of arguments and collectives then hold, temporaries are indicative and no floor is stated.
"""

import dataclasses
import enum
import math
import time
from typing import Any

import jax
import numpy as np

from aira_jax import h200
from aira_jax.h200 import hlo
from aira_jax.pretrain import sharding
from aira_jax.pretrain.settings import Attention, Settings, design
from aira_jax.pretrain.train import accumulation_of, language_model, sizes, training_step
from aira_jax.primitives.attention import AttentionImpl
from aira_jax.train.step import Step

SHARES = (0.3, 0.4, 0.5)  # of peak, for which hours are stated


class Target(enum.StrEnum):
    """Whose compiler speaks."""

    H200 = "h200"
    CPU = "cpu"


@dataclasses.dataclass(frozen=True)
class Compiled:
    """What a compiler says of the step, in bytes of one device and seconds of one step."""

    memory: h200.Memory
    collectives: tuple[hlo.Collective, ...]
    floor_s: tuple[float, float] | None  # messages hidden, nothing hidden
    compile_s: float


def available() -> Target:
    """The H200 compiler where its extra is installed."""
    return Target.CPU if h200.missing() else Target.H200


def dry_run(settings: Settings, cluster: h200.Cluster, target: Target) -> dict[str, Any]:
    """The report of configs' `settings` on `cluster`. On CPU, the process must have `cluster.size` CPU devices.

    Raises: ValueError for settings that contradict each other or the cluster; MissingCompiler for H200 without its
    extra.
    """
    chosen = design(settings.model)
    axes = _axes(settings, cluster)
    mesh = h200.mesh(axes, cluster) if target is Target.H200 else sharding.mesh(sharding_of(axes, settings))
    attention = _attention(settings.model.attention, target)
    model = language_model(settings, chosen, attention)
    update = training_step(settings, model, sharding.layout(mesh, settings.mesh.min_shard_elements))
    accumulation = accumulation_of(settings, cluster.size)
    tokens = jax.ShapeDtypeStruct((accumulation, settings.batch // accumulation, settings.length + 1), np.int32)
    compile_step = {Target.H200: _for_h200, Target.CPU: _for_cpu}[target]
    found = compile_step(update, tokens, cluster)
    counts = sizes(chosen)
    step_tokens = settings.batch * settings.length
    full = counts["flops_per_token"] + 6 * chosen.dims.vocab * chosen.dims.d_model
    needed = full * step_tokens / (cluster.size * cluster.gpu.tensor_flops)  # seconds of a step at peak
    return {
        "arch": settings.model.arch or chosen.arch,
        "pattern": chosen.pattern.canonical(),
        "scale": settings.model.scale,
        **counts,
        "devices": cluster.size,
        "hosts": cluster.hosts,
        "mesh": axes,
        "compiler": target.value,
        "attention": attention.value,
        "ssd": settings.model.ssd,
        "loss": settings.model.loss.value,
        "remat": settings.model.remat.value,
        "microbatch": settings.batch // accumulation // cluster.size,
        "accumulation": accumulation,
        "per_device": {
            "state_bytes": state_bytes(update),
            "argument_bytes": found.memory.arguments,
            "temp_bytes": found.memory.temporaries,
            "output_bytes": found.memory.outputs,
            "alias_bytes": found.memory.aliases,
        },
        "collectives": [
            {
                "kind": one.kind,
                "dtype": one.dtype,
                "count": one.count,
                "bytes": one.bytes,
                "group": one.group,
                "crosses_nodes": one.hosts > 1,
            }
            for one in found.collectives
        ],
        "step_floor_s": found.floor_s and list(found.floor_s),
        "mfu_at_floor": found.floor_s and [needed / seconds for seconds in reversed(found.floor_s)],
        "fits": _fits(found.memory, cluster, target),
        "hours_at_mfu": {str(share): settings.steps * needed / share / 3600 for share in SHARES},
        "compile_s": found.compile_s,
    }


def state_bytes(update: Step) -> int:
    """Bytes of the state on one device, from the exact shapes of its shards."""
    leaves = jax.tree.leaves(update.shapes)
    return sum(math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize for leaf in leaves)


def sharding_of(axes: dict[str, int], settings: Settings):
    """The mesh settings with every axis stated."""
    return dataclasses.replace(settings.mesh, replica=axes[sharding.REPLICA], fsdp=axes[sharding.FSDP])


def _axes(settings: Settings, cluster: h200.Cluster) -> dict[str, int]:
    """The mesh as `sharding.mesh` makes it with one process a host: a host shares the weights unless settings say."""
    wanted = settings.mesh
    fsdp = wanted.fsdp or (cluster.size // wanted.replica if wanted.replica else cluster.devices)
    axes = {sharding.REPLICA: wanted.replica or cluster.size // fsdp, sharding.FSDP: fsdp}
    cluster.fits(axes)
    return axes


def _attention(wanted: Attention, target: Target) -> AttentionImpl:
    if target is Target.CPU and wanted is Attention.CUDNN:
        raise ValueError("attention=cudnn cannot be lowered for CPUs: install the extra h200, or use dense or blocked")
    if wanted is Attention.AUTO:
        return AttentionImpl.CUDNN if target is Target.H200 else AttentionImpl.DENSE
    return AttentionImpl(wanted.value)


def _for_h200(update: Step, tokens: jax.ShapeDtypeStruct, cluster: h200.Cluster) -> Compiled:
    arguments = update.shapes, update.layout.batch_shapes(tokens)
    report = h200.compile_for(
        update.jitted, *arguments, devices=cluster.devices, hosts=cluster.hosts, axes=update.layout.mesh
    )
    floor_s = report.estimate.overlapped, report.estimate.serial
    return Compiled(report.memory, report.collectives, floor_s, report.compile_s)


def _for_cpu(update: Step, tokens: jax.ShapeDtypeStruct, cluster: h200.Cluster) -> Compiled:
    began = time.perf_counter()
    compiled = update.lower(tokens).compile()
    seconds = time.perf_counter() - began
    steps = hlo.Module(compiled.as_text()).steps(cluster.devices, cluster.size)
    return Compiled(h200.Memory.of(compiled), hlo.messages(steps), None, seconds)


def _fits(memory: h200.Memory, cluster: h200.Cluster, target: Target) -> bool | None:
    """None: a CPU's temporaries do not tell, unless the arguments alone are too large."""
    if target is Target.CPU:
        return False if memory.arguments > cluster.gpu.memory else None
    return memory.peak <= cluster.gpu.memory
