"""The folder of a run, and what decided its numbers.

config.json model.py env.json metrics.jsonl report.json checkpoints/ plots/
"""

import os
import platform
from collections.abc import Mapping
from typing import Any

import jax

from aira_jax.core import files, machine
from aira_jax.train import folder
from aira_jax.train.folder import CHECKPOINTS, METRICS, held
from lra.job import Job

__all__ = ["CHECKPOINTS", "METRICS", "PLOTS", "REPORT", "environment", "held", "prepare"]

MODEL, ENV, REPORT, PLOTS = "model.py", "env.json", "report.json", "plots"
_OURS = (MODEL, ENV, REPORT, PLOTS, "job.json", "log.txt", "failure.json")


def prepare(job: Job, identity: Mapping[str, Any]) -> None:
    """Starts or continues the run (see `aira_jax.train.folder.begin`): config.json, env.json, model.py."""
    source = job.path and job.path.read_bytes()
    folder.begin(job.workdir, identity, resume=job.resume, ours=_OURS)
    if source is not None:
        files.write_atomically(job.workdir / MODEL, source)
    files.write_json(job.workdir / ENV, environment(), indent=2)


def environment() -> dict[str, Any]:
    """Versions, devices and what else decides numbers and speed."""
    device = jax.local_devices()[0]
    return {
        "python": platform.python_version(),
        **machine.versions((*machine.PACKAGES, "orbax-checkpoint")),
        "platform": device.platform,
        "device": device.device_kind,
        "devices": jax.local_device_count(),
        "cpus": os.cpu_count(),
        "machine": platform.machine(),
        "default_matmul_precision": jax.config.jax_default_matmul_precision or "backend default",
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
    }
