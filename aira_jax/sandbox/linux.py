"""Linux calls that the standard library lacks: namespaces, mounts, capabilities, process controls.

Imported by the supervisor, which starts without site-packages: standard library only.
"""

import ctypes
import errno
import os

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18

ATTR_RDONLY = 1
ATTR_NOSUID = 2
ATTR_NODEV = 4

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_SECCOMP = 22
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4

MNT_DETACH = 2

_SYS_MOUNT_SETATTR = 442  # one number on every architecture
_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, call: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{call}: {os.strerror(code)}")
    return result


def unshare(flags: int, name: str) -> None:
    """Moves the caller (children, for a PID namespace) into new namespaces; `name` appears in the error."""
    _check(_libc.unshare(ctypes.c_int(flags)), f"unshare {name}")


def prctl(option: int, *arguments: int | ctypes.c_void_p) -> None:
    words = [a if isinstance(a, ctypes.c_void_p) else ctypes.c_ulong(a) for a in arguments]
    words += [ctypes.c_ulong(0)] * (4 - len(words))
    _check(_libc.prctl(ctypes.c_int(option), *words), f"prctl {option}")


def mount(source: str | None, target: str, kind: str | None, flags: int, data: str = "") -> None:
    encoded = [os.fsencode(x) if x else None for x in (source, target, kind)]
    _check(_libc.mount(*encoded, ctypes.c_ulong(flags), os.fsencode(data)), f"mount {target}")


def unmount(target: str) -> None:
    """Takes the mount and all below it away at once; what is open in it stays open."""
    _check(_libc.umount2(os.fsencode(target), ctypes.c_int(MNT_DETACH)), f"umount {target}")


def bind(fd: int, target: str, *, recursive: bool = False) -> None:
    """What lies behind the O_PATH descriptor appears at `target`, with mounts below it only if `recursive`."""
    mount(f"/proc/self/fd/{fd}", target, None, MS_BIND | (MS_REC if recursive else 0))


def turn_root(folder: str, old: str) -> None:
    """The mount at `folder` becomes the root; the old one appears at `old` below it, to be unmounted."""
    _check(_libc.syscall(ctypes.c_long(_pivot_root()), os.fsencode(folder), os.fsencode(folder + old)), "pivot_root")
    os.chdir("/")


def _pivot_root() -> int:
    numbers = {"x86_64": 155, "aarch64": 41, "riscv64": 41, "ppc64le": 203, "s390x": 217}
    machine = os.uname().machine
    if machine not in numbers:
        raise OSError(errno.ENOSYS, f"pivot_root: its number on {machine} is not known")
    return numbers[machine]


class _MountAttributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns_fd")]


def set_mount_attributes(path: str, *, add: int = 0, clear: int = 0, recursive: bool = False) -> None:
    """Changes the flags of the mount at `path` (Linux 5.12 or newer)."""
    attributes = _MountAttributes(add, clear, 0, 0)
    result = _libc.syscall(
        ctypes.c_long(_SYS_MOUNT_SETATTR),
        ctypes.c_int(_AT_FDCWD),
        os.fsencode(path),
        ctypes.c_uint(_AT_RECURSIVE if recursive else 0),
        ctypes.byref(attributes),
        ctypes.c_size_t(ctypes.sizeof(attributes)),
    )
    _check(result, f"mount_setattr {path}")


def drop_privileges() -> None:
    """No capability now or after any exec: bounding, ambient, permitted, effective and inheritable sets are emptied."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    for capability in range(64):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:  # EINVAL: past the last capability; EPERM: without CAP_SETPCAP, and then exec cannot gain any
            break
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    _check(_libc.capset(header, (ctypes.c_uint32 * 6)()), "capset")
