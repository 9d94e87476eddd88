"""Fixtures of the kernel tests: a fresh seed for every run, and 64-bit floats."""

import secrets
from pathlib import Path

import jax
import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    """Warnings of our own code are errors; that Pallas will drop Triton one day is known."""
    strict = pytest.mark.filterwarnings("error:::kernels_pallas", "ignore:.*Triton.*:DeprecationWarning")
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(strict)


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
