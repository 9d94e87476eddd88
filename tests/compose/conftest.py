"""The published tables, where they are at hand, and searches whose evaluations cost nothing."""

import csv
import os
from pathlib import Path

import control_lab
import pytest

from aira_jax import sandbox
from aira_jax.search import run
from aira_jax.search.engine import session


@pytest.fixture
def published():
    """Reads one published table as a list of rows; skips the test where the tables are absent."""

    def read(name: str) -> list[dict[str, str]]:
        shared = Path(os.environ.get("AIRA_JAX_SHARED", Path(__file__).parents[2].parent / "shared" / "data"))
        path = shared / "tables" / name
        if not path.is_file():
            pytest.skip(f"the published tables are not at {path}; set AIRA_JAX_SHARED")
        with path.open(newline="") as file:
            return list(csv.DictReader(file))

    return read


@pytest.fixture
def lab(monkeypatch, tmp_path):
    """The real loop, log and tasks; evaluations cost nothing."""
    made = control_lab.Lab()
    monkeypatch.setattr(sandbox, "make", lambda backend, require_isolation: made)
    monkeypatch.setattr(session, "code_version", lambda: "test")
    monkeypatch.setattr(run.mounts, "prepare", control_lab.prepared(tmp_path / "mounts"))
    return made
