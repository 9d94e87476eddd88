"""Settings of every test: no property fails because the machine is busy."""

from hypothesis import settings

settings.register_profile("aira_jax", deadline=None)
settings.load_profile("aira_jax")
