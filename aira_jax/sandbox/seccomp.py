"""A system-call filter: no new namespaces or mounts, no look into other processes, no foreign socket families.

It closes what namespaces leave open: a program without privileges could make a user namespace of its own, and vsock
sockets reach the host of a virtual machine from inside a network namespace. Without a network namespace the filter also
refuses internet sockets, so that the network is off there too. Standard library only.

Sources: linux/seccomp.h, linux/filter.h, the system-call tables of x86_64 and aarch64.
"""

import ctypes
import errno
import os

from aira_jax.sandbox import linux

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# name: (x86_64, aarch64)
_REFUSED = {
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "open_by_handle_at": (304, 265),
}
_ABSENT = {"clone3": (435, 435), "io_uring_setup": (425, 425)}  # libc and programs have another way when told ENOSYS
_CLONE = (56, 220)
_SOCKET = (41, 198)
_X32_BIT = 0x40000000

AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
_NEW_NAMESPACE = 0x7E020000

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENT_0_AT = 0, 4, 16

_MODE_FILTER = 2


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p)]


def rules(machine: str, families: tuple[int, ...]) -> list[tuple[int, int, int, int]]:
    """The filter as (code, jump if true, jump if false, operand) for an architecture; KeyError when it is unknown."""
    column = list(_ARCHITECTURES).index(machine) if machine in _ARCHITECTURES else None
    if column is None:
        raise KeyError(machine)

    def refuse(code: int) -> tuple[int, int, int, int]:
        return (_RETURN, 0, 0, _ERRNO | code)

    allow = (_RETURN, 0, 0, _ALLOW)
    load_argument = (_LOAD, 0, 0, _ARGUMENT_0_AT)
    filter_ = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_EQUAL, 1, 0, _ARCHITECTURES[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
    ]
    if machine == "x86_64":
        filter_ += [(_AT_LEAST, 0, 1, _X32_BIT), refuse(errno.ENOSYS)]
    for numbers in _REFUSED.values():
        filter_ += [(_EQUAL, 0, 1, numbers[column]), refuse(errno.EPERM)]
    for numbers in _ABSENT.values():
        filter_ += [(_EQUAL, 0, 1, numbers[column]), refuse(errno.ENOSYS)]
    clone = [load_argument, (_ANY_BIT, 0, 1, _NEW_NAMESPACE), refuse(errno.EPERM), allow]
    filter_ += [(_EQUAL, 0, len(clone), _CLONE[column]), *clone]
    socket = [load_argument]
    for family in families:
        socket += [(_EQUAL, 0, 1, family), allow]
    socket.append(refuse(errno.EAFNOSUPPORT))
    return [*filter_, (_EQUAL, 0, len(socket), _SOCKET[column]), *socket, allow]


def install(families: tuple[int, ...]) -> None:
    """Binds the calling thread and all that it starts, for ever. Needs PR_SET_NO_NEW_PRIVS first.

    Raises OSError where the kernel has no filters and KeyError on an architecture without a table.
    """
    packed = b"".join(
        code.to_bytes(2, "little") + bytes((true, false)) + operand.to_bytes(4, "little")
        for code, true, false, operand in rules(os.uname().machine, families)
    )
    memory = ctypes.create_string_buffer(packed, len(packed))
    program = _Program(len(packed) // 8, ctypes.addressof(memory))
    linux.prctl(linux.PR_SET_SECCOMP, _MODE_FILTER, ctypes.c_void_p(ctypes.addressof(program)))
