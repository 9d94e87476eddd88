"""Fixtures of the search tests."""

import sys
from pathlib import Path

import pytest
import search_lab

from aira_jax import sandbox
from aira_jax.search import session
from aira_jax.tasks import loader

sys.path.append(str(Path(__file__).parents[1] / "llm"))  # fake_server


@pytest.fixture
def toy_task(monkeypatch):
    """The toy task instead of the real ones."""
    monkeypatch.setattr(loader, "FOLDER", search_lab.TASKS)
    monkeypatch.setattr(session, "code_version", lambda: "test")


@pytest.fixture
def lab(toy_task, monkeypatch):
    """The toy task, evaluated in this process; returns the sandbox."""
    made = search_lab.LabSandbox()
    monkeypatch.setattr(sandbox, "make", lambda backend, require_isolation: made)
    return made
