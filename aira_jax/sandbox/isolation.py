"""Takes a process out of the machine's reach: network, files, devices, other processes, privileges.

`confine` runs in the first process of an execution, before the program. Each step that the machine refuses becomes a
note; nothing is pretended. Standard library only: the supervisor imports it.
"""

import errno
import glob
import os
from collections.abc import Callable

from aira_jax.sandbox import linux, seccomp

DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
DEVICE_GLOBS = ("/dev/nvidia*", "/dev/dri", "/dev/dxg")
ALWAYS_HIDDEN = ("/run", "/var/run", "/sys/kernel/debug", "/sys/kernel/tracing", "/sys/firmware")
ATTRIBUTES = linux.ATTR_RDONLY | linux.ATTR_NOSUID | linux.ATTR_NODEV


def confine(spec: dict, pid_ns: bool) -> dict:
    """Isolates the calling process as far as the machine permits.

    `spec` holds workdir, writable [path], hidden [path], mounts [(source, target path)], shm_bytes. Returns net, files,
    proc (booleans) and notes [str]. A step that fails after file systems were made read-only is an OSError.
    """
    notes: list[str] = []
    hidden = [*ALWAYS_HIDDEN, *_unix_sockets(), *spec["hidden"]]
    net_ns = _permitted(lambda: linux.unshare(linux.CLONE_NEWNET, "network"), "no network namespace", notes)
    _permitted(lambda: linux.unshare(linux.CLONE_NEWIPC, "ipc"), "shared memory of other programs not isolated", notes)
    files = _permitted(_lock_files, "file systems not isolated", notes)
    proc = False
    if files:
        _open_files(spec, hidden)
        proc = pid_ns and _permitted(_mount_proc, "other processes stay visible in /proc", notes)
    else:
        _link_mounts(spec["mounts"])
    linux.drop_privileges()
    families = (seccomp.AF_UNIX, seccomp.AF_NETLINK)
    if net_ns:
        families += (seccomp.AF_INET, seccomp.AF_INET6)
    filtered = _permitted(lambda: _filter(families), "system calls not filtered", notes)
    if not (net_ns or filtered):
        notes.append("network not isolated: neither a network namespace nor a system-call filter is permitted")
    linux.prctl(linux.PR_SET_DUMPABLE, 0)
    return {"net": net_ns or filtered, "files": files, "proc": proc, "notes": notes}


def _permitted(step: Callable[[], None], what: str, notes: list[str]) -> bool:
    try:
        step()
    except OSError as error:
        notes.append(f"{what}: {error.strerror or error}")
        return False
    return True


def _filter(families: tuple[int, ...]) -> None:
    try:
        seccomp.install(families)
    except KeyError as error:
        raise OSError(errno.ENOSYS, f"no system-call table for {error}") from None


def _lock_files() -> None:
    """Every file system read-only and without device files, in a mount namespace of our own."""
    linux.unshare(linux.CLONE_NEWNS, "mount")
    linux.mount(None, "/", None, linux.MS_REC | linux.MS_PRIVATE)
    linux.set_mount_attributes("/", add=ATTRIBUTES, recursive=True)


def _unix_sockets() -> list[str]:
    """Paths where other programs listen. A read-only file system does not stop anyone from connecting to them."""
    try:
        with open("/proc/net/unix") as table:
            return ["/" + line.rstrip("\n").partition(" /")[2] for line in table if " /" in line]
    except FileNotFoundError:  # a kernel without them
        return []


def _open_files(spec: dict, hidden: list[str]) -> None:
    """A small /dev, masks over `hidden`, then the work directory, `writable` and the read-only mounts.

    Descriptors are opened first, so that a kept directory below a hidden one can be put back.
    """
    kept = {path: _open(path) for path in (spec["workdir"], *spec["writable"])}
    sources = [(_open(source), target) for source, target in spec["mounts"]]
    _build_dev(spec["shm_bytes"])
    steps = [(path, None) for path in {os.path.realpath(path) for path in hidden}] + list(kept.items())
    masked = []
    for path, fd in sorted(steps, key=lambda step: (step[0].count("/"), step[0])):
        if fd is not None:
            os.makedirs(path, exist_ok=True)
            linux.bind(fd, path)
            linux.set_mount_attributes(path, clear=linux.ATTR_RDONLY)
        elif os.path.exists(path):  # else absent, or below a mask already
            _mask(path)
            masked.append(path)
    for path in masked:
        linux.set_mount_attributes(path, add=ATTRIBUTES)
    for fd, target in sources:
        linux.bind(fd, target)
        linux.set_mount_attributes(target, add=ATTRIBUTES)
    for fd in (*kept.values(), *(fd for fd, _ in sources)):
        os.close(fd)


def _link_mounts(mounts: list) -> None:
    """Without a mount namespace the data are reached through links; the harness compares a manifest afterwards."""
    for source, target in mounts:
        (os.rmdir if os.path.isdir(target) else os.unlink)(target)
        os.symlink(source, target)


def _open(path: str) -> int:
    return os.open(path, os.O_PATH | os.O_CLOEXEC)


def _device_paths() -> list[str]:
    found = [f"/dev/{name}" for name in DEVICES]
    for pattern in DEVICE_GLOBS:
        found += glob.glob(pattern)
    return [path for path in found if os.path.exists(path)]


def _build_dev(shm_bytes: int) -> None:
    """A /dev without disks, terminals and the machine's shared memory."""
    devices = {path: _open(path) for path in _device_paths()}
    linux.mount("tmpfs", "/dev", "tmpfs", linux.MS_NOSUID | linux.MS_NOEXEC, "mode=755,size=64k")
    for path, fd in devices.items():
        if os.path.isdir(f"/proc/self/fd/{fd}"):
            os.mkdir(path)
        else:
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        linux.bind(fd, path)
        linux.set_mount_attributes(path, clear=linux.ATTR_NODEV | linux.ATTR_RDONLY)
        os.close(fd)
    for name, target in (("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        os.symlink(f"/proc/self/{target}", f"/dev/{name}")
    os.mkdir("/dev/shm")
    linux.mount("tmpfs", "/dev/shm", "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, f"mode=1777,size={shm_bytes}")
    linux.set_mount_attributes("/dev", add=linux.ATTR_RDONLY)


def _mask(path: str) -> None:
    """An empty directory, or an unreadable file, lies over `path`."""
    if os.path.isdir(path):
        linux.mount("tmpfs", path, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=755,size=64k")
        return
    fd = _open("/dev/full")
    linux.bind(fd, path)
    os.close(fd)


def _mount_proc() -> None:
    flags = linux.MS_RDONLY | linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC
    linux.mount("proc", "/proc", "proc", flags)
