"""What a program sees of the disk: what it needs to run, and nothing besides."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aira_jax.sandbox import view
from aira_jax.sandbox.base import Status, View

WALK = """
import json, os
found, waiting = [], ["/"]
while waiting:
    folder = waiting.pop()
    if folder.startswith(("/proc", "/sys")):
        continue
    try:
        entries = list(os.scandir(folder))
    except OSError:
        continue
    for entry in entries:
        found.append(entry.path)
        if entry.is_dir(follow_symlinks=False):
            waiting.append(entry.path)
print(json.dumps([path for path in found if MARK in path]))
"""
MARK = "needle-7f3a"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home with keys, runs and data beside a project, all named so that a walk finds them."""
    for name in (".ssh/id", ".npmrc", ".bash_history", "runs/demo/events.jsonl", "data/labels/t/labels.txt", "notes"):
        path = tmp_path / "home" / f"{MARK}-{Path(name).parts[0]}" / "/".join(Path(name).parts[1:]) / MARK
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("secret")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_a_walk_over_the_whole_disk_meets_no_home_no_runs_and_no_other_data(lab, needs, home):
    needs("files")
    execution = lab.run(f"MARK = {MARK!r}\n{WALK}")
    assert execution.status is Status.OK, execution.output
    assert json.loads(execution.output) == []


def test_the_root_holds_only_what_is_on_the_list(lab, needs, tmp_path):
    needs("files")
    execution = lab.run("import json, os; print(json.dumps([os.listdir('/'), os.listdir('/etc'), os.listdir('/tmp')]))")
    top, etc, tmp = json.loads(execution.output)
    shown = {path.split("/")[1] for path in (sys.prefix, sys.base_prefix, str(tmp_path), view._project())}
    system = {Path(path).parts[1] for path in (*view.SYSTEM, *view.DRIVERS)}
    assert set(top) <= system | shown | {"dev", "etc", "proc", "sys", "tmp"}
    assert not {"shadow", "ssh", "ssl"} & set(etc)
    assert not [name for name in tmp if (Path("/tmp") / name).is_file()]


def test_a_trusted_program_sees_the_machine(lab, needs, home):
    needs("files")
    execution = lab.run(f"print(open({str(home / (MARK + '-notes') / MARK)!r}).read())", view=View.MACHINE)
    assert execution.output == "secret\n"


def test_what_a_job_names_is_visible_and_read_only(lab, needs, home):
    needs("files")
    path = home / f"{MARK}-notes"
    source = f"print(open({str(path / MARK)!r}).read()); open({str(path / MARK)!r}, 'w')"
    execution = lab.run(source, visible=(path,))
    assert execution.output.startswith("secret\n")
    assert "Read-only file system" in execution.output


def test_a_hidden_folder_within_a_visible_one_stays_hidden(lab, needs, home):
    needs("files")
    source = f"import os; print(sorted(os.listdir({str(home)!r})), os.listdir({str(home / (MARK + '-runs'))!r}))"
    execution = lab.run(source, visible=(home / f"{MARK}-runs",), hidden=(home / f"{MARK}-runs",))
    assert execution.output == f"['{MARK}-runs'] []\n"


def test_an_interpreter_reached_through_links_of_a_store_runs(lab, needs, tmp_path):
    """As uv and pyenv lay them out: a virtual environment -> a link of a version -> the version in a hidden folder."""
    needs("files")
    home = tmp_path / "u"
    version = home / ".tools" / "python-3.11.7"
    (version / "bin").mkdir(parents=True)
    real = Path(sys.base_prefix)
    for name in ("lib", "include"):
        (version / name).symlink_to(real / name)
    (version / "bin" / "python3").symlink_to(Path(sys.executable).resolve())
    (home / ".tools" / "python-3.11").symlink_to("python-3.11.7")
    subprocess.run([home / ".tools/python-3.11/bin/python3", "-m", "venv", "--without-pip", home / "env"], check=True)
    (home / ".netrc").write_text("password")
    source = f"import os, sys; print(sys.prefix, os.path.exists({str(home / '.netrc')!r}))"
    execution = lab.run(source, python=(str(home / "env/bin/python3"), "-c"))
    assert execution.output == f"{home / 'env'} False\n"


def test_a_project_that_is_its_own_environment_shows_neither_runs_nor_keys(tmp_path):
    project = tmp_path / "project"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", project], check=True)
    for name in ("runs", ".git", "data"):
        (project / name).mkdir()
    (project / ".env").write_text("KEY=1")
    binds = view.needed((str(project / "bin/python"), "x.py"), {}).binds
    assert str(project / "bin") in binds
    assert not [path for path in binds if path == str(project) or path.endswith(("/runs", "/.git", "/data", "/.env"))]


def test_of_an_editable_package_only_its_sources_are_shown(tmp_path):
    """Both ways in which installers write them down: a folder in a .pth file, a mapping in a finder."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    packages = next((tmp_path / "env").glob("lib/python3*/site-packages"))
    for project, package in (("one", "first"), ("two", "second")):
        (tmp_path / project / package).mkdir(parents=True)
        (tmp_path / project / package / "__init__.py").touch()
        (tmp_path / project / "runs").mkdir()
    (packages / "one.pth").write_text(f"{tmp_path / 'one'}\n")
    mapping = {"second": str(tmp_path / "two" / "second")}
    (packages / "__editable___two_finder.py").write_text(f"MAPPING: dict[str, str] = {mapping!r}\nNAMESPACES = {{}}\n")
    binds = view.needed((str(tmp_path / "env/bin/python"), "x.py"), {}).binds
    own = {path for path in binds if path.startswith((str(tmp_path / "one"), str(tmp_path / "two")))}
    assert own == {str(tmp_path / "one" / "first"), str(tmp_path / "two" / "second")}


def test_packages_that_are_links_to_a_store_are_shown_with_it(tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    packages = next((tmp_path / "env").glob("lib/python3*/site-packages"))
    archive = tmp_path / "cache" / "archive" / "hash1"
    (archive / "thing-1.dist-info").mkdir(parents=True)
    (archive / "thing-1.dist-info" / "METADATA").touch()
    (packages / "thing-1.dist-info").mkdir()
    (packages / "thing-1.dist-info" / "METADATA").symlink_to(archive / "thing-1.dist-info" / "METADATA")
    assert str(archive) in view.needed((str(tmp_path / "env/bin/python"), "x.py"), {}).binds


def test_the_home_and_the_root_are_never_on_the_list(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "bin").mkdir()
    root = view.needed(("true",), {"LD_LIBRARY_PATH": f"/:{tmp_path}"}, extra=[Path("/"), tmp_path])
    assert not {"/", str(tmp_path)} & set(root.binds)


def test_where_the_root_cannot_be_turned_it_is_said_and_secrets_stay_masked(lab, needs, refuse, home):
    needs("files")
    refuse("turning the root")
    (home / ".netrc").write_text("password")
    source = f"import os; print(os.path.getsize({str(home / '.netrc')!r}), os.path.exists({str(home)!r}))"
    running = lab.start(source)
    running.go()
    execution = running.wait()
    assert not running.isolation.files
    assert any("stays readable" in note for note in running.isolation.notes)
    assert execution.output == "0 True\n"


def test_a_driver_below_run_is_shown_and_nothing_else_of_it(lab, needs, monkeypatch):
    needs("files")
    place = Path(f"/run/{MARK}-{os.getpid()}")
    try:
        (place / "lib").mkdir(parents=True)
        (place / "lib" / "driver").write_text("libcuda\n")
        (place / "notes").write_text("secret")
    except PermissionError:
        pytest.skip("/run is not ours to write")
    try:
        monkeypatch.setattr(view, "DRIVERS", (str(place / "lib"),))
        source = f"import os; print(os.listdir({str(place / 'lib')!r}), os.listdir({str(place)!r}), os.listdir('/run'))"
        assert lab.run(source).output == f"['driver'] ['lib'] ['{place.name}']\n"
    finally:
        shutil.rmtree(place)


def test_the_machine_s_libraries_are_shown_where_the_loader_looks(tmp_path):
    (tmp_path / "drivers").mkdir()
    assert str(tmp_path / "drivers") in view.needed(("true",), {"LD_LIBRARY_PATH": str(tmp_path / "drivers")}).binds
    assert os.path.realpath("/usr") in view.needed(("true",), {}).binds
