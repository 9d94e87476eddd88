"""Settings of every test: properties draw the same examples each run, at any load; XLA compiles fast."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile("aira_jax", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("aira_jax")

FAST_COMPILE = "--xla_backend_optimization_level=0"
if FAST_COMPILE not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {FAST_COMPILE}".strip()
