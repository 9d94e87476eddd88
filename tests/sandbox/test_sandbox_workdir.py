"""What a program leaves in its work directory is data from an enemy: no walk through it may end the harness."""

import os
import shutil
import subprocess
import sys

import pytest

from aira_jax.sandbox import supervisor, workdir

DEEP = """
import os, sys
name = sys.argv[1]
for _ in range(int(sys.argv[2])):
    os.mkdir(name)
    os.chdir(name)
open("end", "w").write("x")
"""


def deep(folder, name="d", levels=1500):
    subprocess.run([sys.executable, "-c", DEEP, name, str(levels)], cwd=folder, check=True)


@pytest.mark.parametrize("name", ["d", "n" * 250])
def test_a_tree_too_deep_for_a_walk_is_cut_at_a_depth_that_every_walk_can_follow(tmp_path, name):
    deep(tmp_path, name)
    (tmp_path / "predictions.npy").write_bytes(b"1")
    workdir.disarm(tmp_path)
    depths = [len(path.relative_to(tmp_path).parts) for path in tmp_path.rglob("*")]
    assert max(depths) <= workdir.MAX_DEPTH
    assert (tmp_path / "predictions.npy").read_bytes() == b"1"
    shutil.rmtree(tmp_path)


def test_links_pipes_and_closed_folders_are_gone_or_open(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir()
    (closed / "file").write_text("x")
    closed.chmod(0)
    (tmp_path / "link").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "pipe")
    workdir.disarm(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["closed", "file"]


def test_a_tree_too_deep_to_be_measured_is_over_every_limit(tmp_path):
    deep(tmp_path, "n" * 250, levels=20)
    assert supervisor._disk_bytes(str(tmp_path)) == sys.maxsize
    workdir.remove(str(tmp_path))
    assert not tmp_path.exists()
