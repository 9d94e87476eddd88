"""The first process of an execution: confines itself, starts the program when told, reports how it ended.

In a PID namespace it is process 1, so its end is the end of everything that the program started. Runs in a child of the
supervisor. Standard library only.
"""

import json
import os
import resource
import signal
import sys

from aira_jax.sandbox import isolation, linux

CPU_GRACE_S = 5
GO, LIMIT_DATA = b".", b"d"  # LIMIT_DATA: no control group bounds the memory, so that RLIMIT_DATA has to


def run(spec: dict, *, pid_ns: bool, orders: int, report: int, output: int) -> None:
    """Never returns. `orders` gives one byte to confine and one to start; `report` takes two JSON lines.

    First line: what `isolation.confine` returned, or {"failed": reason}. Second line: the program's wait status.
    """
    order = os.read(orders, 1)
    if order == b"":
        os._exit(1)
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        state = isolation.confine(spec, pid_ns)
    except OSError as error:
        _send(report, {"failed": f"isolation: {error}"})
        os._exit(1)
    _send(report, state)
    if os.read(orders, 1) == b"":
        os._exit(1)
    program = os.fork()
    if program == 0:
        _become_program(spec, output, limit_data=order == LIMIT_DATA)
    signal.signal(signal.SIGTERM, lambda *_: _pass_on(program))
    os.close(output)
    _send(report, {"status": _wait_for(program)})
    os._exit(0)


def _send(fd: int, message: dict) -> None:
    os.write(fd, json.dumps(message).encode() + b"\n")


def _pass_on(program: int) -> None:
    try:
        os.killpg(program, signal.SIGTERM)
    except ProcessLookupError:
        return


def _wait_for(program: int) -> int:
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == program:
            return status


def _become_program(spec: dict, output: int, *, limit_data: bool) -> None:
    """Stdin is /dev/null already; every other descriptor closes at exec."""
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    for ignored_by_python in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored_by_python, signal.SIG_DFL)
    os.dup2(output, 1)
    os.dup2(output, 2)
    try:
        os.chdir(spec["workdir"])
        _limit(spec)
        if limit_data:
            _lower(resource.RLIMIT_DATA, spec["memory_bytes"], spec["memory_bytes"])
        os.execvpe(spec["argv"][0], spec["argv"], spec["env"])
    except OSError as error:
        print(f"cannot start {spec['argv'][0]}: {error}", file=sys.stderr, flush=True)
    os._exit(127)


def _limit(spec: dict) -> None:
    if spec["cpus"] is not None:
        os.sched_setaffinity(0, spec["cpus"])
    _lower(resource.RLIMIT_CORE, 0, 0)
    _lower(resource.RLIMIT_FSIZE, spec["file_bytes"], spec["file_bytes"])
    _lower(resource.RLIMIT_CPU, spec["cpu_s"], spec["cpu_s"] + CPU_GRACE_S)


def _lower(which: int, soft: int, hard: int) -> None:
    ceiling = resource.getrlimit(which)[1]
    if ceiling != resource.RLIM_INFINITY:
        soft, hard = min(soft, ceiling), min(hard, ceiling)
    resource.setrlimit(which, (soft, hard))
