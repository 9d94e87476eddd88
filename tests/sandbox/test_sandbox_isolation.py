"""What a hostile program can reach: environment, network, files, other processes, privileges."""

import errno
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aira_jax.sandbox import environment, make
from aira_jax.sandbox.base import Mount, Status, View


def report(lab, source: str, **job):
    """Runs a program that prints one JSON value."""
    execution = lab.run(source, **job)
    assert execution.status is Status.OK, execution.output
    return json.loads(execution.output)


def test_secrets_are_absent_from_the_environment(lab, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-1")
    monkeypatch.setenv("MY_TOKEN", "sk-2")
    monkeypatch.setenv("JAX_SECRET", "sk-3")
    monkeypatch.setenv("JAX_ENABLE_X64", "1")
    env = {"OPENAI_API_KEY": "sk-4", "db_Password": "sk-5", "AIRA_JAX_CACHE": "/cache"}
    seen = report(lab, "import json, os; print(json.dumps(dict(os.environ)))", env=env)
    assert "sk-" not in json.dumps(seen)
    assert seen["JAX_ENABLE_X64"] == "1"
    assert seen["AIRA_JAX_CACHE"] == "/cache"
    assert seen["PYTHONHASHSEED"] == "0"
    assert seen["HF_HUB_OFFLINE"] == "1"


def test_code_in_the_work_directory_s_user_site_is_not_run(lab):
    site = f".local/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages/usercustomize.py"
    base = getattr(sys, "_base_executable", sys.executable)  # a virtual environment has no user site to begin with
    execution = lab.run("print('mine')", python=(base, "-c"), files={site: "print('the candidate')"})
    assert execution.output == "mine\n"


def test_environment_is_an_allow_list():
    parent = {
        "PATH": "/bin",
        "SHELL": "x",
        "SSH_AUTH_SOCK": "x",
        "LANG": "C",
        "OMP_NUM_THREADS": "2",
        "PYTHONPATH": "x",
    }
    allowed = environment.allowed(parent, {}, home=Path("/w"), tmp=Path("/w/.tmp"))
    assert allowed.keys() & parent.keys() == {"PATH", "LANG", "OMP_NUM_THREADS"}
    assert (allowed["HOME"], allowed["TMPDIR"]) == ("/w", "/w/.tmp")


def test_secrets_are_absent_from_every_environ_in_proc(lab, needs, monkeypatch):
    needs("files")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-1")
    source = """
        import glob, json
        seen = {}
        for path in glob.glob("/proc/[0-9]*/environ"):
            try:
                seen[path] = open(path).read()
            except OSError as error:
                seen[path] = str(error)
        print(json.dumps(seen))
    """
    seen = report(lab, source)
    assert 1 <= len(seen) <= 3
    assert "sk-1" not in json.dumps(seen)


def test_network_is_off(lab, needs):
    needs("net")
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        source = f"""
            import json, socket
            results = []
            v4, v6 = socket.AF_INET, socket.AF_INET6
            here = ("127.0.0.1", {server.getsockname()[1]})
            for family, address in ((v4, here), (v4, ("93.184.216.34", 80)), (v6, ("2606:4700::1111", 80))):
                try:
                    with socket.socket(family) as s:
                        s.settimeout(2)
                        s.connect(address)
                    results.append("connected")
                except OSError as error:
                    results.append(type(error).__name__)
            print(json.dumps(results))
        """
        assert "connected" not in report(lab, source)


def test_sockets_to_the_virtual_machine_s_host_are_refused(lab, isolation):
    if any("system calls" in note for note in isolation.notes):
        pytest.skip("this machine has no system-call filter")
    assert "Address family not supported" in lab.run("import socket; socket.socket(40, socket.SOCK_STREAM)").output


@pytest.mark.parametrize("view", View)
def test_labels_are_not_listable_by_any_path(lab, needs, tmp_path, view):
    needs("files")
    labels = tmp_path / "prepared" / "eval_validation"
    (labels / "validation_with_labels").mkdir(parents=True)
    (labels / "validation_with_labels" / "labels.txt").write_text("label-content-1")
    (tmp_path / "prepared" / "agent" / "train").mkdir(parents=True)
    (tmp_path / "prepared" / "agent" / "train" / "x.txt").write_text("train-content-1")
    log = tmp_path / "events.jsonl"
    log.write_text("label-content-2")
    source = f"""
        import json, os
        found, text = [], []
        for root, _, files in os.walk({str(tmp_path)!r}):
            for name in files:
                found.append(os.path.join(root, name))
                try:
                    text.append(open(found[-1]).read())
                except OSError:
                    text.append("unreadable")
        for path in (".", "data"):
            text += [open(os.path.join(r, f)).read() for r, _, fs in os.walk(path) for f in fs]
        print(json.dumps([found, text]))
    """
    found, text = report(
        lab,
        source,
        mounts=(Mount(tmp_path / "prepared" / "agent", "data"),),
        hidden=(tmp_path / "prepared", log),
        view=view,
    )
    assert not any("with_labels" in path for path in found)
    assert "train-content-1" in text
    assert not any("label-content" in t for t in text)


def test_a_hidden_place_below_another_one_is_hidden_too(lab, needs, tmp_path):
    needs("files")
    (tmp_path / "run" / "labels").mkdir(parents=True)
    hidden = (tmp_path / "run", tmp_path / "run" / "labels", tmp_path / "absent")
    seen = f"import json, os; print(json.dumps(os.listdir({str(tmp_path / 'run')!r})))"
    assert report(lab, seen, hidden=hidden, view=View.MACHINE) == []


@pytest.mark.parametrize("view", View)
def test_sockets_of_other_programs_are_masked(lab, needs, tmp_path, view):
    needs("files")
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        execution = lab.run(f"import socket; socket.socket(socket.AF_UNIX).connect({path!r})", view=view)
    assert execution.status is Status.FAIL
    assert "Error" in execution.output


@pytest.mark.parametrize("view", View)
def test_a_work_directory_inside_a_hidden_directory_stays_usable(lab, needs, tmp_path, view):
    needs("files")
    (tmp_path / "events.jsonl").write_text("x")
    seen = report(
        lab,
        f"""
        import json, os
        open("out", "w").write("y")
        print(json.dumps([os.listdir({str(tmp_path)!r}), os.getcwd()]))
        """,
        hidden=(tmp_path,),
        view=view,
    )
    assert seen == [["work-1"], str(tmp_path / "work-1")]
    assert (tmp_path / "work-1" / "out").read_text() == "y"


@pytest.mark.parametrize(("view", "refusal"), [(View.MACHINE, errno.EROFS), (View.NEEDED, errno.ENOENT)])
def test_data_cannot_be_changed_by_either_path(lab, needs, tmp_path, view, refusal):
    needs("files")
    data = tmp_path / "agent"
    data.mkdir()
    (data / "labels.txt").write_text("before")
    source = f"""
        import json, os
        failed = []
        for path in ("data/labels.txt", {str(data / "labels.txt")!r}):
            for act in (lambda p: open(p, "w"), os.remove, lambda p: os.chmod(p, 0o777), lambda p: os.utime(p, (1, 1)),
                        lambda p: os.rename(p, p + "x"), lambda p: os.symlink(p, os.path.dirname(p) + "/new")):
                try:
                    act(path)
                except OSError as error:
                    failed.append(error.errno)
        print(json.dumps(failed))
    """
    assert report(lab, source, mounts=(Mount(data, "data"),), view=view) == [errno.EROFS] * 6 + [refusal] * 6
    assert (data / "labels.txt").read_text() == "before"
    assert os.listdir(data) == ["labels.txt"]


def test_only_the_work_directory_and_writable_places_can_be_written(lab, needs, tmp_path):
    needs("files")
    (tmp_path / "cache").mkdir()
    places = ["out", "/dev/shm/x", str(tmp_path / "cache" / "x"), str(tmp_path / "x"), "/tmp/x", "/etc/x", "/x"]
    places += ["/dev/x", "/run/x", "/proc/sys/kernel/core_pattern", "/sys/x", __file__, environment.__file__]
    source = f"""
        import json, tempfile
        written = []
        for path in {places!r}:
            try:
                open(path, "a").close()
                written.append(path)
            except OSError:
                pass
        tempfile.TemporaryFile().close()
        print(json.dumps(written))
    """
    assert report(lab, source, writable=(tmp_path / "cache",)) == places[:3]


def test_the_machine_s_devices_and_control_groups_are_out_of_reach(lab, needs):
    needs("files")
    source = """
        import glob, json, os
        writable = [p for p in glob.glob("/sys/fs/cgroup/**/cgroup.procs", recursive=True) if os.access(p, os.W_OK)]
        print(json.dumps([sorted(os.listdir("/dev")), writable]))
    """
    devices, writable = report(lab, source)
    assert not [name for name in devices if name.startswith(("vd", "sd", "nvme", "mem", "kmsg", "loop"))]
    assert writable == []


def test_no_privileges_and_no_way_to_gain_any(lab):
    source = """
        import ctypes, json
        status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
        libc = ctypes.CDLL(None, use_errno=True)
        user_namespace = libc.unshare(0x10000000)
        unmounted = libc.umount2(b"/proc", 2)
        print(json.dumps([[status[k].strip() for k in ("CapPrm", "CapEff", "CapBnd", "NoNewPrivs")],
                          user_namespace, unmounted]))
    """
    capabilities, user_namespace, unmounted = report(lab, source)
    assert capabilities[0] == capabilities[1] == "0" * 16
    assert capabilities[3] == "1"
    assert (user_namespace, unmounted) == (-1, -1)
    if os.getuid() == 0:
        assert capabilities[2] == "0" * 16


def test_the_supervisor_and_the_harness_cannot_be_killed(lab, needs):
    needs("pid_ns")
    source = f"""
        import os, signal, time
        for pid in ({os.getpid()}, 1):
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        try:
            os.kill(-1, signal.SIGTERM)
        except OSError:
            pass
        time.sleep(0.2)
        print("still here")
    """
    running = lab.start(source)
    running.go()
    execution = running.wait()
    assert execution.status is not Status.LOST
    assert execution.killed_for is None


def test_the_first_process_cannot_be_looked_into(lab, needs):
    needs("pid_ns")
    source = """
        import json, os
        failed = []
        for act, name in ((open, "environ"), (open, "mem"), (os.readlink, "fd/0"), (os.readlink, "root")):
            try:
                act("/proc/1/" + name)
                failed.append(name)
            except OSError:
                pass
        print(json.dumps(failed))
    """
    assert report(lab, source) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root can read the system's secrets at all")
def test_system_secrets_are_masked_for_root(lab, needs):
    needs("files")
    source = """
        import json
        try:
            print(json.dumps(open("/etc/shadow").read()))
        except OSError as error:
            print(json.dumps(error.strerror))
    """
    assert report(lab, source, view=View.MACHINE) == "Permission denied"


def test_dot_entries_of_the_home_are_masked_except_what_is_needed(tmp_path, monkeypatch):
    for name in (".ssh", ".aws", ".tools/project", "work"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / ".netrc").write_text("password")
    monkeypatch.setenv("HOME", str(tmp_path))
    places = {p.name for p in environment.secret_places([tmp_path / ".tools" / "project"]) if p.parent == tmp_path}
    assert places == {".ssh", ".aws", ".netrc"}


def test_require_isolation_is_an_error_at_once_where_something_is_missing(lab, unprivileged_machine):
    running = lab.start("pass")
    running.kill()
    running.wait()
    assert running.isolation.pid_ns is False
    assert running.isolation.files is False
    assert any("namespace" in note for note in running.isolation.notes)
    with pytest.raises(ValueError, match=r"require_isolation.*processes.*files"):
        make(require_isolation=True)


def test_require_isolation_is_quiet_where_all_is_there(needs, isolation):
    for what in ("pid_ns", "net", "files"):
        needs(what)
    assert make(require_isolation=True).probe() == isolation


@pytest.fixture
def unprivileged_machine(refuse):
    refuse("namespaces")


def test_without_namespaces_the_network_is_off_by_the_filter(lab, unprivileged_machine):
    running = lab.start("import socket; socket.socket().connect(('127.0.0.1', 9))")
    running.go()
    execution = running.wait()
    if not running.isolation.net:
        pytest.skip("; ".join(running.isolation.notes))
    assert "Address family not supported" in execution.output


def test_without_namespaces_a_change_of_the_data_is_tampering(lab, unprivileged_machine, tmp_path):
    (tmp_path / "agent" / "train").mkdir(parents=True)
    (tmp_path / "agent" / "train" / "x.txt").write_text("before")
    mounts = (Mount(tmp_path / "agent", "data"),)
    assert lab.run("print(open('data/train/x.txt').read())", mounts=mounts).output == "before\n"
    assert not (tmp_path / "agent" / "train" / "x.txt").stat().st_mode & 0o222
    source = "import os; os.chmod('data/train/x.txt', 0o644); open('data/train/x.txt', 'w').write('edited')"
    execution = lab.run(source, mounts=mounts)
    assert execution.tampered == (str(tmp_path / "agent" / "train" / "x.txt"),)


def test_without_namespaces_no_process_is_left(lab, unprivileged_machine, marked):
    marker = f"marker-{time.time_ns()}"
    source = f"""
        import os, signal, subprocess, sys
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for _ in range(3):
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    os.execv(sys.executable, [sys.executable, "-S", "-c", "import time; time.sleep(99)", "{marker}"])
                os._exit(0)
        import time; time.sleep(0.3)
    """
    assert lab.run(source).status is Status.OK
    assert marked(marker) == []


UNPRIVILEGED = 65534


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_an_unprivileged_user_is_isolated_by_a_user_namespace(lab, tmp_path):
    python = _python_for_everyone()
    if python is None:
        pytest.skip("no Python 3.11+ that every user may run")
    root = Path(environment.__file__).parents[2]
    if any(not folder.stat().st_mode & 0o001 for folder in (root, *root.parents)):
        pytest.skip(f"{root} is closed to other users")
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents:
        if parent.stat().st_uid == os.getuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    harness = f"""
import os, sys
os.setgroups([]); os.setgid({UNPRIVILEGED}); os.setuid({UNPRIVILEGED})
sys.path.append({str(root)!r}); sys.dont_write_bytecode = True
os.environ["HOME"] = {str(tmp_path)!r}
from pathlib import Path
from aira_jax.sandbox import make
from aira_jax.sandbox.base import Job, Limits
program = "import os; print(os.getpid(), os.getuid(), os.path.exists('/tmp/nothing')); open('/dev/shm/x', 'w')"
job = Job(argv=({python!r}, "-c", program), workdir=Path({str(tmp_path / "w")!r}), limits=Limits(wall_s=9))
running = make().start(job); running.go(); execution = running.wait()
print(running.isolation, execution.status, execution.output)
"""
    done = subprocess.run([python, "-c", harness], capture_output=True, text=True, cwd="/")
    if "PermissionError" in done.stderr and "line 3" in done.stderr:  # the line that changes the user
        pytest.skip("this root may not become another user")
    assert done.returncode == 0, done.stderr
    if "pid_ns=False" in done.stdout:
        pytest.skip(f"no user namespaces for unprivileged users: {done.stdout}")
    assert "pid_ns=True, net=True, files=True" in done.stdout
    assert f"ok 2 {UNPRIVILEGED} False" in done.stdout


def _python_for_everyone() -> str | None:
    for candidate in (sys.executable, "/opt/venv312/bin/python", "/usr/bin/python3"):
        path = Path(candidate)
        if path.exists() and all(p.stat().st_mode & 0o001 for p in path.resolve().parents):
            return candidate
    return None
