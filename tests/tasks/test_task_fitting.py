"""A fit by hand: what it may not reach, and what of its product is kept."""

from pathlib import Path

import pytest

from aira_jax.sandbox.base import Execution, Status
from aira_jax.tasks import client, evaluation, fitting, preparation

ENDED_WELL = Execution(
    status=Status.OK, exit_code=0, signal=None, wall_s=1.0, cpu_s=1.0, peak_bytes=0, head="", tail="", cut_bytes=0,
    killed_for=None, tampered=(),
)  # fmt: skip


@pytest.fixture
def hostile(monkeypatch):
    """A fit that leaves files under the names of ours; the jobs that were asked for."""
    jobs = []

    def run(job):
        jobs.append(job)
        product = Path(job.workdir) / client.PREDICTIONS
        (product / "report.json").mkdir(parents=True)
        (product / "run").mkdir()
        for name in ("model.py", "answers", "run/model.py"):
            (product / name).write_text("theirs")
        return ENDED_WELL

    monkeypatch.setattr(fitting, "_run", run)
    return jobs


def fit(folder, hidden=()):
    script = folder / "evaluate.py"
    return fitting.Fit(script, "model.py", {"model.py": "ours"}, data=[], hidden=hidden, limit_s=1, memory_gb=1)


def test_what_a_fit_wrote_is_kept_but_not_in_place_of_the_submission_or_of_the_result(tmp_path, hostile):
    (tmp_path / "model.py").write_text("ours")
    flags = [f"--submission-file={tmp_path / 'model.py'}", f"--workdir={tmp_path}"]
    flags += [f"--result-file={tmp_path / 'report.json'}", "--isolation=process"]
    arguments = evaluation.parse(flags, submission="model.py", profiles=("paper",))
    with fitting.fitted(fit(tmp_path), arguments) as product:
        assert (product / "model.py").read_text() == "theirs"
    assert (tmp_path / "model.py").read_text() == "ours"
    assert not (tmp_path / "report.json").exists()
    assert (tmp_path / "answers").read_text() == (tmp_path / "run" / "model.py").read_text() == "theirs"


def test_no_fit_reaches_the_labels_of_another_evaluation(tmp_path, hostile):
    arguments = evaluation.parse([], submission="model.py", profiles=("paper",))
    with preparation.private("labels-") as others, fitting.fitted(fit(tmp_path, hidden=[tmp_path / "raw"]), arguments):
        hidden = hostile[0].hidden
        assert any(others.resolve().is_relative_to(path) for path in hidden)
        assert others.stat().st_mode & 0o077 == 0
    assert tmp_path / "raw" in hidden
    assert not others.exists()
