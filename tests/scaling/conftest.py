"""The published tables, where they are at hand."""

import csv
import os
from pathlib import Path

import pytest


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
