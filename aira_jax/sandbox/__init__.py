"""Runs programs that nobody should trust. README.md in this folder says what is enforced where.

One file for each means of the operating system (cgroups, seccomp, isolation, linux, proctree, view), because a machine
may lack each by itself. The supervisor process passes through this file before every execution: imports stay inside
`make`.
"""

CONTAINERS = ("apptainer", "docker")
BACKENDS = ("process", *CONTAINERS)


def make(backend: str = "process", require_isolation: bool = False):
    """The `aira_jax.sandbox.base.Sandbox` of that name.

    Raises ValueError for a backend that is unknown, absent or does not start a container and, with `require_isolation`,
    on a machine that does not isolate processes, network and files.
    """
    import shutil

    from aira_jax.core import choices
    from aira_jax.sandbox.containers import ContainerSandbox
    from aira_jax.sandbox.process import ProcessSandbox

    if backend in CONTAINERS and shutil.which(backend) is None:
        raise ValueError(f"{backend} not found; install it or set sandbox.backend=process")
    choices.among("sandbox.backend", backend, BACKENDS)
    if backend in CONTAINERS:
        sandbox = ContainerSandbox(require_isolation, backend)
        sandbox.require_start()
        return sandbox
    sandbox = ProcessSandbox(require_isolation)
    if require_isolation:
        sandbox.probe()
    return sandbox
