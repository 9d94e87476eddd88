"""Settings of every test: properties draw the same examples at any load; XLA compiles fast, and each program once.

Programs are kept for a session and a worker: jax writes its cache in place, which two writers would not survive.
"""

import os
import tempfile

from hypothesis import HealthCheck, settings

settings.register_profile("aira_jax", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("aira_jax")

FAST_COMPILE = "--xla_backend_optimization_level=0"
if FAST_COMPILE not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {FAST_COMPILE}".strip()

_programs = tempfile.TemporaryDirectory(prefix="aira-jax-test-programs-")
os.environ["JAX_COMPILATION_CACHE_DIR"] = _programs.name
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
