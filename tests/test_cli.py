"""How scripts start and end: exit codes, one message, a traceback only with --debug."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aira_jax.tasks import mounts

ROOT = Path(__file__).parents[1]
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


def shell(tmp_path, body: str, line: str = "{}", **environment: str) -> subprocess.CompletedProcess:
    """A script whose main is `body`, in a shell; `line` holds `{}` for the command."""
    path = tmp_path / "script.py"
    path.write_text(
        f"import os, signal, sys\nfrom aira_jax.core import cli\ndef main(argv):\n    {body}\ncli.run(main)\n"
    )
    command = line.format(f"{sys.executable} {path}")
    env = mounts.script_environment() | environment
    return subprocess.run(["bash", "-c", command], env=env, capture_output=True, text=True, check=False)


def test_a_reader_that_has_seen_enough_ends_a_script_quietly(tmp_path):
    body = "[print('x' * 1000) for _ in range(10_000)]"
    done = shell(tmp_path, body, "{} | head -1 > /dev/null; exit ${{PIPESTATUS[0]}}")
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("stream", ["1", "2"])
def test_a_closed_stream_is_no_defect(tmp_path, stream):
    done = shell(tmp_path, "print('out'); print('err', file=sys.stderr)", f"{{}} {stream}>&-")
    assert done.returncode == 0
    assert "Error" not in done.stderr


def test_a_terminal_without_the_sign_gets_a_question_mark(tmp_path):
    done = shell(tmp_path, "print('wait\\u2026')", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout) == (0, "wait?\n")


def test_an_interruption_that_nobody_listens_to_ends_with_130_and_no_traceback(tmp_path):
    done = shell(tmp_path, "signal.signal(2, signal.default_int_handler); os.kill(os.getpid(), signal.SIGINT)")
    assert done.returncode == 130
    assert "Traceback" not in done.stderr
    assert "the same command" in done.stderr


def test_help_tells_the_flags_and_is_no_failure(script):
    command = [sys.executable, str(script), "--help"]
    result = subprocess.run(command, env=mounts.script_environment(), capture_output=True, text=True, check=False)
    assert result.returncode == 0
    assert "Says a number." in result.stdout
    assert "--number" in result.stdout


SLOW_TO_IMPORT = ("jax", "scipy.stats", "matplotlib.pyplot", "sklearn", "anthropic")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "scripts").glob("[a-z]*.py")))
def test_help_of_every_script_is_no_failure_and_imports_nothing_heavy(name):
    command = [sys.executable, "-X", "importtime", str(ROOT / "scripts" / f"{name}.py"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, len(done.stdout) > 200) == (0, True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not imported & set(SLOW_TO_IMPORT)


SPEAKS = "from aira_jax.core import cli; cli.run(lambda argv: print('a \\u2026 b'))"


def test_a_terminal_that_knows_ascii_alone_ends_no_script():
    env = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", SPEAKS], env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "a ? b\n")


def test_a_closed_standard_output_is_no_defect():
    done = subprocess.run(f'"{sys.executable}" -c "{SPEAKS}" >&-', shell=True, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
