"""The report in a real browser, where one is installed."""

import shutil
import subprocess

import pytest
import synthetic_run

from aira_jax.reports.run import derived

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OFFLINE = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome on the PATH")


def dom(path, tmp_path):
    """The page's DOM after its scripts ran, and what the browser logged."""
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", *OFFLINE]
    flags = [f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr", "--virtual-time-budget=1000"]
    done = subprocess.run([*command, *flags, "--dump-dom", path], capture_output=True, text=True, timeout=60)
    return done.stdout, done.stderr


def test_hostile_text_runs_nothing_and_our_script_runs(hostile_run, tmp_path):
    run = shutil.copytree(hostile_run, tmp_path / "run")
    text, log = dom(derived.rebuild(run).as_uri() + "#node-7", tmp_path)
    assert "<title>owned" not in text
    assert 'class="zoom"' in text  # shown by the script: its hidden attribute is gone
    assert 'class="mark' in text
    assert ' selected" href="#node-7"' in text
    assert "Refused to" not in log
    assert "CONSOLE" not in log


@pytest.mark.slow
def test_500_nodes_open_without_a_complaint(tmp_path):
    run = synthetic_run.write(tmp_path / "run", synthetic_run.Shape(nodes=500, output_lines=400))
    text, log = dom(derived.rebuild(run).as_uri() + "#node-499", tmp_path)
    assert text.count('class="node"') == 500
    assert "CONSOLE" not in log
