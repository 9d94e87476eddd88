"""Shards: equal to the text they were made from, resumable, and refused where they do not fit."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from aira_jax.pretrain.data import DataConfig, make_source, shards, tokenizers
from aira_jax.pretrain.data.documents import Side

pytest.importorskip("array_record", reason="needs the extra data: pip install 'aira-jax[data]'")
pytest.importorskip("grain", reason="needs the extra data: pip install 'aira-jax[data]'")

SCRIPT = Path(__file__).parents[2] / "scripts" / "corpus_shards.py"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "own.jsonl"
    path.write_text(
        "".join(json.dumps({"text": f"story {i}: " + "it was late. " * (i % 7)}) + "\n" for i in range(300))
    )
    return path


def config(corpus):
    return DataConfig("text", str(corpus), tokenizer="byte", held_out_every=10)


@pytest.fixture(scope="module")
def written(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    shards.write(config(corpus), folder, length=32, windows_per_shard=64)
    return folder


def read(folder, **changes):
    sizes = {"length": 32, "vocab": 258, "rows": 4} | changes
    return make_source(DataConfig("shards", str(folder)), **sizes)


def test_records_equal_those_of_the_text(corpus, written):
    text = make_source(config(corpus), length=32, vocab=258, rows=4)
    source = read(written)
    assert [len(source.train), len(source.validation)] == [len(text.train), len(text.validation)]
    for step in (0, 7, 200):
        assert np.array_equal(source.batch(5, step), text.batch(5, step))
    assert np.array_equal(source.held_out(9), text.held_out(9))


def test_writing_again_changes_nothing(corpus, written):
    before = {path.name: path.stat().st_mtime_ns for path in written.glob("*.array_record")}
    shards.write(config(corpus), written, length=32, windows_per_shard=64)
    assert {path.name: path.stat().st_mtime_ns for path in written.glob("*.array_record")} == before


def test_an_interrupted_writing_goes_on_with_the_same_result(corpus, written, tmp_path):
    def stop(name):
        if name == "train-00002":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shards.write(config(corpus), tmp_path, length=32, windows_per_shard=64, on_shard=stop)
    assert not (tmp_path / shards.MANIFEST).exists()
    with pytest.raises(ValueError, match="not all of them"):
        read(tmp_path)
    manifest = shards.write(config(corpus), tmp_path, length=32, windows_per_shard=64)
    assert manifest == json.loads((written / shards.MANIFEST).read_text())


@pytest.mark.slow
def test_a_killed_writer_goes_on_with_the_same_result(corpus, written, tmp_path):
    command = [sys.executable, str(SCRIPT), f"--path={corpus}", f"--out={tmp_path}", "--length=32"]
    command += ["--tokenizer=byte", "--held_out_every=10", "--windows_per_shard=64"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (tmp_path / "train-00001.json").exists() and time.monotonic() < deadline:
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode == 0
    assert json.loads((tmp_path / shards.MANIFEST).read_text()) == json.loads((written / shards.MANIFEST).read_text())


def test_other_settings_are_refused_with_both_values(corpus, written):
    with pytest.raises(ValueError, match="length: 32 before, 16 now"):
        shards.write(config(corpus), written, length=16, windows_per_shard=64)
    with pytest.raises(ValueError, match="windows of length 32, the training has 16"):
        read(written, length=16)
    with pytest.raises(ValueError, match="258 tokens, the model 100"):
        read(written, vocab=100)


def test_a_corpus_without_held_out_documents_is_refused(corpus, tmp_path):
    data = DataConfig("text", str(corpus), tokenizer="byte", held_out_every=10**9)
    with pytest.raises(ValueError, match=r"validation documents hold fewer than 33 tokens.*held_out_every"):
        shards.write(data, tmp_path, length=32, windows_per_shard=64)
    assert not list(tmp_path.glob("*.array_record"))


def damaged(written, tmp_path, name, change):
    for path in written.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    change(tmp_path / name)
    return tmp_path


def test_a_missing_shard_is_named(written, tmp_path):
    folder = damaged(written, tmp_path, "train-00001.array_record", Path.unlink)
    with pytest.raises(ValueError, match=r"train-00001\.array_record is missing"):
        read(folder)


def test_a_damaged_shard_is_named_with_its_record(written, tmp_path):
    def overwrite(path):
        content = bytearray(path.read_bytes())
        content[200:260] = bytes(60)
        path.write_bytes(content)

    folder = damaged(written, tmp_path, "train-00000.array_record", overwrite)
    source = read(folder)
    with pytest.raises(ValueError, match=r"train-00000\.array_record, record \d+, cannot be read"):
        source.train.take(range(64))


def test_another_tokenizer_is_refused(written, tmp_path):
    def exchange(path):
        tokenizers.save(tokenizers.make("bpe:260", ["aa aa aa"]), path)

    folder = damaged(written, tmp_path, "tokenizer.json", exchange)
    with pytest.raises(ValueError, match="the shards were written with"):
        read(folder)


def test_sides_share_no_document(written):
    facts = json.loads((written / shards.MANIFEST).read_text())
    assert facts["split"] == "sha256(text) mod 10 == 0 is validation"
    assert facts[Side.TRAIN]["documents"] + facts[Side.VALIDATION]["documents"] == 300
