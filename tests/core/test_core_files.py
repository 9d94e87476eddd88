import json
import math
import os

import pytest

from aira_jax.core import files


def test_a_write_replaces_the_whole_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "new" / "a.json"
    files.write_atomically(path, "old")
    files.write_atomically(path, b"new")
    assert path.read_text() == "new"
    assert os.listdir(path.parent) == ["a.json"]


def test_a_write_that_fails_keeps_the_old_content(tmp_path):
    path = tmp_path / "a.txt"
    files.write_atomically(path, "old")
    with pytest.raises(TypeError):
        files.write_atomically(path, 3)
    assert (path.read_text(), os.listdir(tmp_path)) == ("old", ["a.txt"])


def test_a_written_file_is_as_open_as_the_umask_says(tmp_path):
    before = os.umask(0o027)
    try:
        files.write_atomically(tmp_path / "table", b"rows")
    finally:
        os.umask(before)
    assert (tmp_path / "table").stat().st_mode & 0o777 == 0o640


def test_json_holds_null_for_what_it_cannot_spell(tmp_path):
    files.write_json(tmp_path / "a.json", {"x": (1.5, math.nan, [math.inf])})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": [1.5, None, [None]]}
