"""Runs programs that nobody should trust: limits, isolation, outcome classes."""

BACKENDS = ("process",)
CONTAINERS = ("apptainer", "docker")


def make(backend: str = "process", require_isolation: bool = False):
    """The `aira_jax.sandbox.base.Sandbox` of that name.

    Raises ValueError for an unknown or absent backend. With `require_isolation`, `start` raises ValueError on a machine
    that cannot isolate processes, network and files.
    """
    import shutil

    if backend in CONTAINERS:
        if shutil.which(backend) is None:
            raise ValueError(f"{backend} not found; install it or set sandbox.backend=process")
        raise ValueError(f"sandbox.backend={backend} is not available in this version; set sandbox.backend=process")
    if backend not in BACKENDS:
        raise ValueError(f"unknown sandbox.backend {backend!r}; valid: {', '.join(BACKENDS)}")
    from aira_jax.sandbox.process import ProcessSandbox

    return ProcessSandbox(require_isolation)
