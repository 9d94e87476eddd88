"""Fixtures of the kernel tests: a fresh seed for every run, and 64-bit floats."""

import secrets

import jax
import pytest


@pytest.fixture
def seed():
    """A new seed each run; a failing test prints it."""
    value = secrets.randbits(32)
    print(f"seed={value}")
    return value


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield
