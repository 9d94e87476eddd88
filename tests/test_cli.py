"""How scripts start and end: exit codes, one message, a traceback only with --debug."""

import subprocess
import sys
from pathlib import Path

import pytest

from aira_jax.tasks import mounts

SCRIPT = '''"""Says a number."""
from absl import flags
from aira_jax.core import cli

_NUMBER = flags.DEFINE_integer("number", 0, "A number.")

def main(argv):
    if _NUMBER.value < 0:
        raise ValueError("number must not be negative")
    if _NUMBER.value == 0:
        raise KeyError("a defect")
    print(_NUMBER.value)
    return _NUMBER.value - 1

cli.run(main)
'''


@pytest.fixture(scope="module")
def script(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "script.py"
    path.write_text(SCRIPT)
    return path


@pytest.mark.parametrize(
    ("arguments", "code", "message", "traceback"),
    [
        (["--number=1"], 0, "", False),
        (["--number=4"], 3, "", False),
        (["--number=-1"], 2, "error: number must not be negative", False),
        (["--number=-1", "--debug"], 1, "number must not be negative", True),
        (["--number=x"], 2, "error: flag --number=x", False),
        (["--numbr=1"], 2, "Did you mean: number", False),
        (["1"], 2, "unexpected argument '1'", False),
        (["--number=0"], 1, "a defect", True),
    ],
)
def test_exit_codes_and_messages(script, arguments, code, message, traceback):
    command = [sys.executable, str(script), *arguments]
    env = mounts.script_environment()
    result = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert result.returncode == code
    assert message in result.stderr
    assert ("Traceback" in result.stderr) == traceback


def test_help_tells_the_flags(script):
    command = [sys.executable, str(script), "--help"]
    result = subprocess.run(command, env=mounts.script_environment(), capture_output=True, text=True, check=False)
    assert "Says a number." in result.stdout
    assert "--number" in result.stdout
