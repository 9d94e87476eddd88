"""The machine and the versions behind a number. Never imports jax: who has devices adds them."""

import ctypes
import importlib.metadata
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]  # of the packages: the checkout, or site-packages
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8  # glibc's malloc.h
_LARGEST = 2**31 - 1
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
    head = output("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD")
    changed = output("git", "-C", str(ROOT), "status", "--porcelain", "--untracked-files=no")
    return head and head + "+changes" * bool(changed)


def available_bytes() -> int:
    """Memory: the smaller of the machine's available memory and the control group's limit."""
    pages = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    known = [_meminfo("MemAvailable:") or pages]
    for path in map(Path, _CGROUP_LIMITS):
        if path.is_file() and (text := path.read_text().strip()).isdigit():
            known.append(int(text))
    return min(known)


def _meminfo(name: str) -> int | None:
    path = Path("/proc/meminfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), None)


def keep_freed_pages() -> bool:
    """Lets the C library reuse large freed blocks instead of giving them back; True where that could be set.

    XLA's CPU client allocates the temporaries of a program anew for every call. Given back each time, every page of
    them is faulted in again: a third of the CPU time of a small step (lra/BENCHMARKS.md). Call it before jax starts
    its threads, so that all of them share one heap. No effect on the memory of devices.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    options = {_M_ARENA_MAX: 1, _M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: _LARGEST}
    accepted = [mallopt(option, value) for option, value in options.items()]
    return all(accepted)
