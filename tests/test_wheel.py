"""The product as it is installed: a wheel in an environment of its own, used from an empty directory."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv*", ".*_cache", ".hypothesis", "__pycache__", "build", "*.egg-info", "runs"
)
PACKAGES = ("aira_jax", "kernels_pallas", "lra")

pytestmark = pytest.mark.slow


def run(*command, **options) -> str:
    done = subprocess.run([*map(os.fspath, command)], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, folder / "source", symlinks=True, ignore=LEFT_OUT)
    shutil.copytree(ROOT / "aira_jax" / "runs", folder / "source" / "aira_jax" / "runs")  # a room named like an output
    pip = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index")
    run(*pip, "--wheel-dir", folder, folder / "source")
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The programs of an environment that holds the wheel; its dependencies are those of this one, without ours."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel)
    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python.parent


def test_the_wheel_holds_every_file_of_the_packages(wheel):
    inside = set(zipfile.ZipFile(wheel).namelist())
    listed = run("git", "ls-files", "--", *PACKAGES, "scripts/*.py", "configs/*.py", cwd=ROOT).splitlines()
    places = {"scripts/": "aira_jax/commands/", "configs/": "aira_jax/configs/"}
    wanted = set()
    for name in listed:
        for folder, place in places.items():
            name = place + name.removeprefix(folder) if name.startswith(folder) else name
        if not (ROOT / name).is_dir():
            wanted.add(name)
    assert not wanted - inside


def test_the_installed_command_searches_and_reports_from_an_empty_directory(installed, tmp_path):
    environment = {**os.environ, "AIRA_JAX_CACHE": str(tmp_path / "cache")}
    environment.pop("PYTHONPATH", None)
    place = tmp_path / "empty"
    place.mkdir()
    config = "--config=search:smoke,budget.steps=2"
    report = run(installed / "aira", "search", config, cwd=place, env=environment).splitlines()[-1]
    assert (place / report).is_file()
    folder = (place / report).parent
    again = run(installed / "aira", "report", f"--run={folder}", cwd=place, env=environment).splitlines()[-1]
    assert (place / again).samefile(place / report)
    logged = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    assert sum(record.get("kind") == "node" for record in logged) == 2


def test_the_config_of_the_checkout_is_named_the_same_way_where_it_is_installed(installed, tmp_path):
    program = (installed / "aira", "search", "--config=configs/search.py:nothing")
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "has no variant 'nothing'" in done.stderr


def test_the_public_names_work_where_it_is_installed(installed, tmp_path):
    program = "import aira_jax; print(aira_jax.__file__, aira_jax.extrapolate('2A-M', scale='1B', method='stack'))"
    place, pattern = run(installed / "python", "-c", program, cwd=tmp_path).split(maxsplit=1)
    assert Path(place).is_relative_to(installed.parent)
    assert "A" in pattern
