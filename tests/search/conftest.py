"""Fixtures of the search tests."""

import sys
from pathlib import Path

import pytest
import search_lab

from aira_jax import sandbox

sys.path.append(str(Path(__file__).parents[1] / "llm"))  # fake_server


@pytest.fixture
def lab(monkeypatch):
    """The toy task, evaluated in this process; returns the sandbox."""
    made = search_lab.LabSandbox()
    monkeypatch.setattr(sandbox, "make", lambda backend, require_isolation: made)
    return made
