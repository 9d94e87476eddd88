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
OLD_ROOT = "/.old"
STAGE = "/dev"  # exists everywhere, and is replaced anyway
ATTRIBUTES = linux.ATTR_RDONLY | linux.ATTR_NOSUID | linux.ATTR_NODEV


def confine(spec: dict, pid_ns: bool) -> dict:
    """Isolates the calling process as far as the machine permits.

    `spec` holds workdir, writable [path], hidden [path], secrets [path], root {binds, links} or None, mounts [(source,
    target path)], shm_bytes, and `contained`: a container's walls stand around us already. Returns net, files, proc
    (booleans) and notes [str]. Another step that fails after file systems were made read-only is an OSError.
    """
    notes: list[str] = []
    net_ns, readonly, files, proc = (True,) * 4 if spec["contained"] else _wall_in(spec, pid_ns, notes)
    linux.drop_privileges()
    families = (seccomp.AF_UNIX, seccomp.AF_NETLINK)
    if net_ns:
        families += (seccomp.AF_INET, seccomp.AF_INET6)
    filtered = _permitted(lambda: _filter(families), "system calls not filtered", notes)
    if not (net_ns or filtered):
        notes.append("network not isolated: neither a network namespace nor a system-call filter is permitted")
    linux.prctl(linux.PR_SET_DUMPABLE, 0)
    return {"net": net_ns or filtered, "readonly": readonly, "files": files, "proc": proc, "notes": notes}


def _wall_in(spec: dict, pid_ns: bool, notes: list[str]) -> tuple[bool, bool, bool, bool]:
    """Whether a network namespace, read-only file systems, the job's view of them and a /proc of its own were given."""
    hidden = [*_unix_sockets(), *spec["hidden"]]
    net_ns = _permitted(lambda: linux.unshare(linux.CLONE_NEWNET, "network"), "no network namespace", notes)
    _permitted(lambda: linux.unshare(linux.CLONE_NEWIPC, "ipc"), "shared memory of other programs not isolated", notes)
    if not _permitted(_lock_files, "file systems not isolated", notes):
        _link_mounts(spec["mounts"])
        return net_ns, False, False, False
    files = _open_files(spec, hidden, notes)
    proc = pid_ns and _permitted(_mount_proc, "other processes stay visible in /proc", notes)
    return net_ns, True, files, proc


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


def _open_files(spec: dict, hidden: list[str], notes: list[str]) -> bool:
    """The root that the job may see, a small /dev, masks over `hidden`, then the work directory, `writable` and mounts.

    Descriptors are opened first, so that a kept directory outside the root or below a hidden one can be put back.
    Returns whether the job's view could be given; without it all but `hidden` and the secrets stays readable.
    """
    kept = {path: _open(path) for path in (spec["workdir"], *spec["writable"])}
    sources = [(_open(source), target) for source, target in spec["mounts"]]
    devices = {path: _open(path) for path in _device_paths()}
    root = spec["root"]
    turned = root is not None and _permitted(
        lambda: _turn_root(root), "what a program does not need of the disk stays readable unless it is hidden", notes
    )
    if not turned:
        hidden = [*hidden, *spec["secrets"], *ALWAYS_HIDDEN]
    _build_dev(devices, spec["shm_bytes"])
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
    if turned:
        linux.unmount(OLD_ROOT)
        os.rmdir(OLD_ROOT)
        linux.set_mount_attributes("/", add=ATTRIBUTES)
    return turned or root is None


def _turn_root(root: dict) -> None:
    """An empty root with nothing but the links and the read-only binds of `root`, /proc and an empty /dev and /tmp.

    The old one stays at OLD_ROOT: what was opened in it can be mounted only as long as it is mounted itself.
    """
    binds = [(path, _open(path)) for path in (*root["binds"], "/proc") if os.path.exists(path)]
    linux.mount("tmpfs", STAGE, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=755,size=4m")
    try:
        for path, target in root["links"]:
            if not any(path.startswith(bound + "/") for bound, _ in binds):
                os.makedirs(os.path.dirname(STAGE + path), exist_ok=True)
                os.symlink(target, STAGE + path)
        for path, fd in binds:
            _make_target(STAGE + path, fd)
            linux.bind(fd, STAGE + path, recursive=True)
        for path in ("/dev", "/tmp", OLD_ROOT):
            os.makedirs(STAGE + path, exist_ok=True)
        linux.turn_root(STAGE, OLD_ROOT)
    except OSError:
        linux.unmount(STAGE)
        raise
    finally:
        for _, fd in binds:
            os.close(fd)


def _make_target(path: str, fd: int) -> None:
    """An empty directory or file, as the descriptor's, to mount over."""
    if os.path.isdir(f"/proc/self/fd/{fd}"):
        os.makedirs(path, exist_ok=True)
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))


def _link_mounts(mounts: list) -> None:
    """Without a mount namespace the data are reached through links; the harness compares a manifest afterwards."""
    for source, target in mounts:
        (os.rmdir if os.path.isdir(target) else os.unlink)(target)
        os.symlink(source, target)


def _open(path: str) -> int:
    return os.open(path, os.O_PATH | os.O_CLOEXEC)


def _device_paths() -> list[str]:
    return [*filter(os.path.exists, (f"/dev/{name}" for name in DEVICES)), *accelerators()]


def accelerators() -> list[str]:
    """The devices of this machine's accelerators."""
    return [path for pattern in DEVICE_GLOBS for path in sorted(glob.glob(pattern))]


def _build_dev(devices: dict[str, int], shm_bytes: int) -> None:
    """A /dev without disks, terminals and the machine's shared memory; `devices` are open, and closed here."""
    linux.mount("tmpfs", "/dev", "tmpfs", linux.MS_NOSUID | linux.MS_NOEXEC, "mode=755,size=64k")
    for path, fd in devices.items():
        _make_target(path, fd)
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
