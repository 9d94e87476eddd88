"""scripts/lra_data.py: its contract, repeated commands, and bad flags."""

import json
import os
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from lra.data import build, overlap, store

ROOT = Path(__file__).parents[2]


def run(*flags: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "scripts" / "lra_data.py"), *flags]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env)


def test_listops_by_its_contract(tmp_path):
    sizes = ("--task=listops", "--seed=0", "--train=50", "--validation=20", "--test=100", "--digest")
    made = run(*sizes, f"--out={tmp_path / 'd'}")
    assert made.returncode == 0, made.stderr
    hashes = json.loads(made.stdout.splitlines()[-1])
    assert hashes["test"] == "6f107ec2fb8c7777a86b9c08af1fa72ee49b874167f6631bebb7fcabceb7419c"
    assert store.open(tmp_path / "d", "listops").meta.counts == {"train": 50, "validation": 20, "test": 100}
    checked = run(f"--check={tmp_path / 'd'}")
    assert (checked.returncode, "counts and hashes agree" in checked.stdout) == (0, True)
    tokens = tmp_path / "d" / "test" / "tokens.bin"
    tokens.write_bytes(tokens.read_bytes()[:-1] + b"\x01")
    broken = run(f"--check={tmp_path / 'd'}")
    assert broken.returncode == 2
    assert "sha256" in broken.stderr
    assert "--train=50" in broken.stderr
    assert "--rebuild" in broken.stderr


def test_rows_that_two_splits_share_are_counted():
    def split(name, *texts, pairs=None):
        tokens = np.frombuffer("".join(texts).encode(), np.uint8)
        documents = store.Documents(tokens, np.cumsum([0, *map(len, texts)]), 1)
        return store.Split(name, documents, None if pairs is None else np.array(pairs, np.int32), None)

    def told(pair, *splits):
        by_name = {s.name: s for s in splits}
        meta = types.SimpleNamespace(pair=pair)
        return overlap.shared_rows(types.SimpleNamespace(meta=meta, splits=tuple(by_name), split=by_name.get))

    assert told(False, split("train", "ab", "c"), split("test", "a", "c", "c", "ab")) == [
        "    test: 3 of 4 rows stand in train, too"
    ]
    first = split("train", "a", "b", "c", pairs=[(0, 1), (2, 2)])
    other = split("test", "b", "a", "c", "d", pairs=[(0, 1), (2, 3), (2, 2), (1, 3)])
    assert told(True, first, other) == ["    test: 2 of 4 rows stand in train, too; of the documents 3 of 4"]


def request(**fields) -> build.Request:
    return build.Request(task=build.Task.LISTOPS, profile=build.Profile.SMOKE, train=30, validation=9, test=9, **fields)


def test_the_same_request_keeps_what_is_there_and_another_one_needs_rebuild(tmp_path):
    first = build.make(request(), tmp_path / "d")
    stamp = (first.folder / "meta.json").stat().st_mtime_ns
    assert build.make(request(), tmp_path / "d").meta == first.meta
    assert (first.folder / "meta.json").stat().st_mtime_ns == stamp
    with pytest.raises(ValueError, match="--rebuild"):
        build.make(request(seed=1), tmp_path / "d")
    assert build.make(request(seed=1), tmp_path / "d", rebuild=True).meta.seed == 1


def test_digests_are_the_same_with_and_without_writing(tmp_path):
    assert build.digests(request()) == build.digests_of(build.make(request(), tmp_path / "d"))


def test_a_request_repeats_itself_as_a_command():
    assert request(max_depth=4).command == (
        "python scripts/lra_data.py --task=listops --profile=smoke --train=30 --validation=9 --test=9 --max_depth=4"
    )
    text = build.Request(task=build.Task.TEXT, jsonl=("a b", "c"))
    assert text.command == "python scripts/lra_data.py --task=text '--jsonl=a b,c'"


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"task": build.Task.TEXT}, "Text needs one source"),
        ({"task": build.Task.TEXT, "jsonl": ("a",)}, "two files expected"),
        ({"task": build.Task.TEXT, "aclimdb": "a", "tfds": ""}, "Text needs one source"),
        ({"task": build.Task.TEXT, "aclimdb": "nowhere"}, "neg is missing"),
        ({"task": build.Task.RETRIEVAL}, "Retrieval needs one source"),
        ({"task": build.Task.NEEDLE}, "--text=FILE is needed"),
        ({"task": build.Task.LISTOPS, "test": 0}, "--test=0: choose 1 or more"),
        ({"task": build.Task.LISTOPS, "aan": "x"}, "--aan means nothing for --task=listops"),
        ({"task": build.Task.RETRIEVAL, "surrogate": "x", "train": 5}, "--train means nothing"),
    ],
)
def test_requests_that_cannot_be_met_are_named_and_leave_nothing(tmp_path, fields, message):
    with pytest.raises(ValueError, match=message):
        build.make(build.Request(**fields), tmp_path / "d")
    assert list(tmp_path.iterdir()) == []


def test_the_script_ends_with_2_and_one_message(tmp_path):
    for flags, message in (
        ((), "--task is needed"),
        (("--task=listop",), "listops"),
        (("--task=listops",), "--out=DIR is needed"),
        ((f"--check={tmp_path / 'x'}",), "does not exist"),
    ):
        done = run(*flags)
        assert (done.returncode, message in done.stderr, "Traceback" in done.stderr) == (2, True, False), done.stderr
