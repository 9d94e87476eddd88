"""The process that imports a candidate: what it sees, and that nothing it starts outlives it."""

import signal
import time
from pathlib import Path

import pytest
from lra_models import MINIMAL, SMALL, job, listops

from lra import supervise
from lra.failures import CandidateFault, Kind

SECRETS = {"ANTHROPIC_API_KEY": "sk-1", "HF_TOKEN": "hf-2", "AWS_SECRET_ACCESS_KEY": "aws-3", "MY_VPN": "vpn-4"}


@pytest.fixture
def secrets(monkeypatch):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


def test_the_environment_is_an_allow_list(secrets, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/some/where")
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=x")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    chosen = job(tmp_path / "data", tmp_path / "run", deterministic=True)
    seen = supervise._Child(chosen, print, check=False)._environment()
    assert not SECRETS.keys() & seen.keys()
    assert not {value for value in SECRETS.values() if value in " ".join(seen.values())}
    assert seen["PYTHONPATH"].split(":") == [str(Path(__file__).parents[2]), "/some/where"]
    assert seen["XLA_FLAGS"] == "--xla_dump_to=x --xla_gpu_deterministic_ops=true"
    assert (seen["JAX_PLATFORMS"], seen["HOME"]) == ("cpu", str(Path.home()))


def test_a_message_that_was_cut_off_is_a_crash_of_the_process(tmp_path):
    child = supervise._Child(job(tmp_path / "data", tmp_path / "run"), print, check=False)
    lines = supervise._Lines(child._receive)
    lines.feed(b'{"report": {"task": "list')
    lines.feed(b"")
    with pytest.raises(CandidateFault, match="signal SIGKILL") as found:
        child._judged(-signal.SIGKILL)
    assert found.value.kind is Kind.CRASH


@pytest.mark.slow
def test_a_candidate_sees_no_key_and_what_it_starts_ends_with_it(secrets, tmp_path, capfd):
    """The program it leaves behind holds the pipe of its output open."""
    head = "import os, subprocess\nprint(dict(os.environ))\nsubprocess.Popen(['sleep', '300'])\n"
    short = SMALL.replace(num_train_steps=2)
    chosen = job(listops(tmp_path / "data"), tmp_path / "run", head + MINIMAL, short)
    started = time.monotonic()
    assert supervise.run(chosen, on_row=lambda row: None)["summary"]["steps"] == 2
    assert time.monotonic() - started < 200
    printed = capfd.readouterr().err
    assert "PYTHONPATH" in printed
    assert not [value for value in SECRETS.values() if value in printed]
