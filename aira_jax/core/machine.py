"""The machine and the versions behind a number. Never imports jax: who has devices adds them."""

import functools
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]  # of the packages: the checkout, or site-packages
PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy")


def version(package: str) -> str | None:
    """The installed version, None without the package."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str | None]:
    """Package -> version."""
    return {package: version(package) for package in packages}


@functools.cache
def cpu_name() -> str:
    """The processor's name as its maker prints it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "cpu"


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def output(*command: str, timeout_s: float = 20) -> str | None:
    """What a command prints, None if it prints nothing, fails or does not exist."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def commit() -> str | None:
    """The checked-out commit, with `+changes` if files differ from it; None outside a checkout."""
    if not (ROOT / ".git").exists():
        return None
    head = output("git", "-C", str(ROOT), "rev-parse", "HEAD")
    changed = output("git", "-C", str(ROOT), "status", "--porcelain", "--untracked-files=no")
    return head and head + "+changes" * bool(changed)
