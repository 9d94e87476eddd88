"""Everything beside the log can be deleted and comes back the same."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import synthetic_run

from aira_jax.reports.run import derived
from aira_jax.search.log import events

SCRIPT = Path(__file__).parents[2] / "scripts" / "report.py"
TRUTH = {"events.jsonl", "blobs", "run.lock"}


def contents(run_dir):
    return {str(p.relative_to(run_dir)): p.read_bytes() for p in sorted(run_dir.rglob("*")) if p.is_file()}


def script(*flags):
    return subprocess.run([sys.executable, SCRIPT, *flags], capture_output=True, text=True, timeout=60)


def test_what_was_deleted_comes_back_byte_for_byte(own_run):
    path = derived.rebuild(own_run)
    before = contents(own_run)
    assert path == own_run / "report.html"
    for item in own_run.iterdir():
        if item.name not in TRUTH:
            shutil.rmtree(item) if item.is_dir() else item.unlink()
    derived.rebuild(own_run)
    assert contents(own_run) == before


def test_the_run_directory_has_the_files_that_it_promises(own_run):
    derived.rebuild(own_run)
    assert {item.name for item in own_run.iterdir()} == {
        *("events.jsonl", "blobs", "config.json", "nodes", "best", "submission", "report.html"),
    }
    records = events.read(own_run)
    good = [r for r in records if r["kind"] == "node" and r["status"] == "good"]
    best = max(good, key=lambda r: (r["fitness"], -r["node"]))["node"]
    node = own_run / "nodes" / f"{best:04d}"
    assert {item.name for item in node.iterdir()} == {
        "files",
        "plan.md",
        "output.txt",
        "calls",
        "diff.patch",
        "result.json",
    }
    artifact = (node / "files" / "submission.csv").read_bytes()
    assert artifact.startswith(b"architecture\n")
    assert (own_run / "best" / "submission.csv").read_bytes() == artifact
    assert (own_run / "submission" / "submission.csv").read_bytes() == artifact
    assert json.loads((own_run / "config.json").read_text()) == records[0]["config"]
    assert len(list((own_run / "nodes").iterdir())) == 15


def test_neither_the_log_nor_a_foreign_file_is_touched(own_run):
    (own_run / "notes.txt").write_text("mine")
    truth = contents(own_run)
    derived.rebuild(own_run)
    after = contents(own_run)
    assert {path: after[path] for path in truth} == truth


def test_stale_derived_files_go_away(own_run):
    derived.rebuild(own_run)
    stale = own_run / "nodes" / "0099" / "plan.md"
    stale.parent.mkdir()
    stale.write_text("from an older log")
    (own_run / "best" / "old.py").write_text("")
    derived.rebuild(own_run)
    assert not stale.exists()
    assert not (own_run / "best" / "old.py").exists()


def test_the_place_of_a_run_leaves_no_trace_in_its_files(own_run, tmp_path):
    derived.rebuild(own_run)
    moved = shutil.copytree(own_run, tmp_path / "elsewhere" / "seed_0")
    derived.rebuild(moved)
    assert contents(moved) == contents(own_run)


def test_a_run_in_progress_can_be_rebuilt(tmp_path):
    run = synthetic_run.write(tmp_path / "run", synthetic_run.Shape(nodes=6, finished=False))
    derived.rebuild(run)
    pending = json.loads((run / "nodes" / "0006" / "result.json").read_text())
    assert pending["status"] == "pending"
    assert list((run / "submission").iterdir()) == []


@pytest.mark.parametrize("path", ["../escape.py", "/tmp/escape.py", "a/../../escape.py"])
def test_a_candidate_file_outside_its_folder_is_refused(tmp_path, path):
    run = synthetic_run.write(tmp_path / "run", synthetic_run.Shape(nodes=1))
    records = list(events.read(run))
    next(r for r in records if r["kind"] == "candidate")["files"] = {path: "x"}
    (run / "events.jsonl").write_bytes(b"".join(map(events.encode, records)))
    with pytest.raises(ValueError, match=r"candidate file outside its folder"):
        derived.rebuild(run)


def test_the_script_prints_the_path_last(own_run):
    done = script(f"--run={own_run}")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == str(own_run / "report.html")


def test_the_script_ends_with_2_where_there_is_no_run(tmp_path):
    done = script(f"--run={tmp_path}")
    assert done.returncode == 2
    assert "does not exist; name a run directory" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_script_ends_with_4_on_a_damaged_log_and_changes_nothing(own_run):
    log = own_run / "events.jsonl"
    data = bytearray(log.read_bytes())
    data[200] ^= 1
    log.write_bytes(data)
    before = contents(own_run)
    done = script(f"--run={own_run}")
    assert done.returncode == 4
    assert "line 1" in done.stderr
    assert contents(own_run) == before


def test_a_missing_blob_is_named_before_anything_is_written(own_run):
    blob = sorted((own_run / "blobs").iterdir())[0]
    blob.unlink()
    with pytest.raises(events.DamagedLog, match=blob.name):
        derived.rebuild(own_run)
    assert not (own_run / "nodes").exists()


def test_a_place_that_cannot_be_written_is_named(own_run):
    (own_run / ".best.new").write_text("in the way of a folder")
    with pytest.raises(ValueError, match=r"cannot write .*best"):
        derived.rebuild(own_run)


def test_reports_import_neither_jax_nor_flax():
    code = (
        "import sys, aira_jax.reports.run.derived, aira_jax.reports.terminal; print({'jax', 'flax'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
