"""Task folders with known scales in the place of the real ones."""

import pytest
import study_runs

from aira_jax.tasks import loader


@pytest.fixture(scope="session")
def task_folders(tmp_path_factory):
    return study_runs.write_tasks(tmp_path_factory.mktemp("tasks"))


@pytest.fixture(autouse=True)
def known_tasks(task_folders, monkeypatch):
    monkeypatch.setattr(loader, "FOLDER", task_folders)
