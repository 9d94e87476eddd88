"""Several processes as one run: who they are, and how they agree to stop."""

import os
import sys
import time

import jax
from jax.experimental import multihost_utils

COORDINATOR, PROCESS, COUNT = "AIRA_JAX_COORDINATOR", "AIRA_JAX_PROCESS", "AIRA_JAX_PROCESSES"
JOIN_S = 300


def join() -> None:
    """Joins the run that the environment names (scripts/launch.sh sets it); does nothing without. Call it first.

    Raises: ValueError for a half-set environment, and when the others do not come.
    """
    found = {name: os.environ[name] for name in (COORDINATOR, PROCESS, COUNT) if name in os.environ}
    if not found:
        return
    missing = {COORDINATOR, PROCESS, COUNT} - set(found)
    if missing:
        raise ValueError(f"{', '.join(sorted(found))} set, but not {', '.join(sorted(missing))}: set all three or none")
    process, count = int(found[PROCESS]), int(found[COUNT])
    began = time.perf_counter()
    try:
        jax.distributed.initialize(found[COORDINATOR], count, process, initialization_timeout=JOIN_S)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"process {process} of {count} found no run at {found[COORDINATOR]}: {reason}") from error
    waited = time.perf_counter() - began
    local = jax.local_device_count()
    print(f"process {process}/{count}: {local} devices, joined in {waited:.1f} s", file=sys.stderr, flush=True)


def told_to_stop(step: int) -> bool:
    """Whether any process got SIGTERM; all processes hear it after the same update."""
    return multihost_utils.reached_preemption_sync_point(step)
