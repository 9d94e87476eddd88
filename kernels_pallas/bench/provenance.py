"""Where a number comes from: device, driver, versions, commit, time."""

import datetime
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

import jax
import jaxlib

REPOSITORY = Path(__file__).resolve().parents[2]


def collect() -> dict:
    """Fields that every row of a run shares."""
    device = jax.devices()[0]
    return {
        "device": _cpu_name() if device.platform == "cpu" else device.device_kind,
        "cores": len(os.sched_getaffinity(0)),
        "driver": _driver() if device.platform == "gpu" else None,
        "jax": jax.__version__,
        "jaxlib": jaxlib.__version__,
        "python": platform.python_version(),
        "torch": _version("torch"),
        "triton": _version("triton"),
        "commit": _output("git", "-C", str(REPOSITORY), "rev-parse", "--short", "HEAD"),
        "dirty": bool(_output("git", "-C", str(REPOSITORY), "status", "--porcelain", "--", "kernels_pallas")),
        "time_utc": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def hardware() -> str:
    """What the numbers of a table were measured on, in one line."""
    device = jax.devices()[0]
    cores = len(os.sched_getaffinity(0))
    return f"{device.platform} {device.device_kind}, {_cpu_name()}, {cores} core(s), jax {jax.__version__}"


def _cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "cpu"


def _driver() -> str:
    return _output("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader") or "unknown"


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _output(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
