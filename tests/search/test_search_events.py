"""The event log: its bytes, its repairs, and what it refuses."""

import base64
import json
import os
import resource
import shutil
import subprocess
import sys
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aira_jax.search.log import events
from aira_jax.search.log.events import DamagedLog, EventLog, Kind, RunInUse, WriteFailed

STOP = {
    "detail": "500 of 500 steps used",
    "kind": "stop",
    "mono": 12.5,
    "reason": "steps",
    "seq": 7,
    "t": 1700000000.0,
    "v": 1,
}


def open_log(folder) -> EventLog:
    return EventLog(folder, fsync=False)


def write_log(folder, count: int):
    log = open_log(folder)
    for i in range(count):
        log.append(Kind.WARNING, code="test", text=f"number {i}")
    log.close()
    return folder / "events.jsonl"


def test_a_record_has_the_published_checksum():
    line = events.encode(STOP)
    assert json.loads(line)["crc"] == "b231181d"
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert events.decode(line[:-1]) == STOP


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text().filter(lambda key: key not in ("crc", "v")), json_values, max_size=4))
def test_what_is_read_is_what_was_written(record):
    assert events.decode(events.encode(record)[:-1]) == record


@given(st.text(st.characters(), max_size=20))
def test_lone_surrogates_become_replacement_characters(text):
    assert events.decode(events.encode({"text": text + "\ud800", text + "\udfff": 1})[:-1])["text"].endswith("\ufffd")


def test_numbers_that_json_lacks_are_refused():
    with pytest.raises(ValueError, match="JSON"):
        events.encode({"value": float("nan")})


def test_every_torn_ending_is_dropped_saved_and_recorded(tmp_path):
    whole = write_log(tmp_path / "whole", 4).read_bytes()
    start = whole.rindex(b"\n", 0, len(whole) - 1) + 1
    for cut in range(start + 1, len(whole)):
        folder = tmp_path / f"cut{cut}"
        folder.mkdir()
        (folder / "events.jsonl").write_bytes(whole[:cut])
        log = open_log(folder)
        log.close()
        *kept, recovered = events.read(folder)
        assert len(kept) == 3
        assert recovered["kind"] == "recovered"
        assert recovered["dropped_bytes"] == cut - start
        assert (folder / recovered["file"]).read_bytes() == whole[start:cut]


def test_a_clean_log_is_not_repaired(tmp_path):
    path = write_log(tmp_path, 3)
    before = path.read_bytes()
    log = open_log(tmp_path)
    log.close()
    assert log.recovered is None
    assert path.read_bytes() == before


def test_damage_in_the_middle_names_the_line_and_changes_nothing(tmp_path):
    path = write_log(tmp_path, 40)
    lines = path.read_bytes().split(b"\n")
    lines[5] = lines[5].replace(b"number 5", b"number 6")
    path.write_bytes(b"\n".join(lines))
    damaged = path.read_bytes()
    with pytest.raises(DamagedLog, match=r"line 6 \(seq 5\).*\n.*--truncate_at_seq=5"):
        open_log(tmp_path)
    assert path.read_bytes() == damaged
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith("torn")] == []


def test_a_gap_in_the_numbers_is_damage(tmp_path):
    path = write_log(tmp_path, 6)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2] + lines[3:]))
    with pytest.raises(DamagedLog, match=r"line 3 .*seq is 3, 2 expected"):
        open_log(tmp_path)


def test_a_blob_with_another_text_is_damage(tmp_path):
    blobs = events.Blobs(tmp_path / "blobs")
    sha = blobs.put("the text")
    assert blobs.get(sha) == "the text"
    (tmp_path / "blobs" / sha).write_text("the tex")
    with pytest.raises(DamagedLog, match=f"{sha} is damaged"):
        blobs.get(sha)
    (tmp_path / "blobs" / sha).unlink()
    with pytest.raises(DamagedLog, match=f"{sha} is missing"):
        blobs.get(sha)


def test_a_missing_blob_is_damage(tmp_path):
    log = open_log(tmp_path)
    log.append(Kind.LLM_RESULT, text=log.store("x" * 70_000))
    log.append(Kind.WARNING, code="a", text="b")
    log.close()
    shutil.rmtree(tmp_path / "blobs")
    with pytest.raises(DamagedLog, match=r"line 1 .*blob .* is missing"):
        open_log(tmp_path)


def test_a_newer_schema_is_refused(tmp_path):
    (tmp_path / "events.jsonl").write_bytes(events.encode({"v": 2, "seq": 0, "kind": "x"}))
    with pytest.raises(DamagedLog, match="version 2 is newer"):
        events.read(tmp_path)


def test_a_branch_keeps_what_lies_before_the_damage(tmp_path):
    folder = tmp_path / "run"
    log = open_log(folder)
    kept = log.store("x" * 70_000)
    log.append(Kind.LLM_RESULT, text=kept)
    log.append(Kind.LLM_RESULT, text=log.store("y" * 70_000))
    log.append(Kind.WARNING, code="a", text="b")
    log.close()
    path = folder / "events.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"code":"a"', b'"code":"c"') + b"{}\n")
    before = path.read_bytes()
    branch = events.branch(folder, 2)
    assert path.read_bytes() == before
    assert len(events.read(branch)) == 2
    assert len(list((branch / "blobs").iterdir())) == 2
    with pytest.raises(DamagedLog, match="line 3"):
        events.branch(folder, 3)
    assert not (tmp_path / "run.branch-3").exists()
    assert events.branch(folder, 2) == branch


def test_a_second_process_is_refused_with_pid_and_host(tmp_path):
    log = open_log(tmp_path)
    script = f"from aira_jax.search.log.events import EventLog; EventLog({str(tmp_path)!r})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    log.close()
    assert f"RunInUse: run directory in use by pid {os.getpid()} on host {os.uname().nodename}" in done.stderr
    open_log(tmp_path).close()


def test_a_writer_in_the_same_process_is_refused_too(tmp_path):
    log = open_log(tmp_path)
    with pytest.raises(RunInUse, match="in use"):
        open_log(tmp_path)
    log.close()


def test_a_full_disk_leaves_a_valid_log(tmp_path):
    log = open_log(tmp_path)
    log.append(Kind.WARNING, code="a", text="fits")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize(log.path) + 50, hard))
    try:
        with pytest.raises(WriteFailed, match=r"cannot write .*events.jsonl: errno \d+ \("):
            log.append(Kind.WARNING, code="a", text="does not fit " * 20)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    log.append(Kind.WARNING, code="a", text="again")
    log.close()
    assert [record["text"] for record in events.read(tmp_path)] == ["fits", "again"]


def test_a_blob_that_cannot_be_written_leaves_nothing_behind(tmp_path):
    log = open_log(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(WriteFailed, match="blobs"):
            log.put("x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    log.close()
    assert list((tmp_path / "blobs").iterdir()) == []


def test_secrets_of_the_environment_never_reach_the_log(tmp_path, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-123456789")
    monkeypatch.setenv("MY_TOKEN", "hunter2-hunter2")
    log = open_log(tmp_path)
    log.append(Kind.WARNING, code="x", text="401: bad key sk-ant-123456789", deep=[{"a": "hunter2-hunter2"}])
    log.put("a prompt with hunter2-hunter2")
    log.close()
    found = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"sk-ant-123456789" not in found
    assert b"hunter2" not in found
    assert b"[ANTHROPIC_API_KEY removed]" in found


def _inside_base64(secret):
    return base64.b64encode(f"user:{secret}!".encode()).decode()[8:-4]


@pytest.mark.parametrize(
    "write",
    [
        lambda secret: json.dumps(secret)[1:-1],
        lambda secret: json.dumps(secret, ensure_ascii=False).replace("/", "\\/")[1:-1],
        lambda secret: urllib.parse.quote(secret, safe=""),
        lambda secret: secret.encode().hex(),
        lambda secret: base64.b64encode(secret.encode()).decode().rstrip("="),
        _inside_base64,
        lambda secret: secret.splitlines()[1],
    ],
    ids=["json", "escaped slash", "address", "hex", "base64", "inside of base64", "one line"],
)
def test_no_written_form_of_a_secret_reaches_the_log(tmp_path, monkeypatch, write):
    secret = 'begin "p/w+é"\nsecond+line=='
    monkeypatch.setenv("MY_PASSPHRASE", secret)
    log = open_log(tmp_path)
    log.append(Kind.WARNING, code="x", text=f"bad: {write(secret)}.")
    log.put(f"a prompt with {write(secret)}")
    log.close()
    found = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    assert json.dumps(write(secret), ensure_ascii=False)[1:-1] not in found
    assert found.count("[MY_PASSPHRASE removed]") == 2


def test_the_password_of_an_address_in_the_environment_is_a_secret(tmp_path, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://me:hunter2%40home@proxy:3128")
    log = open_log(tmp_path)
    log.append(Kind.WARNING, code="x", text="cannot reach http://me:hunter2%40home@proxy:3128, hunter2@home refused")
    log.close()
    assert "hunter2" not in (tmp_path / "events.jsonl").read_text()


def test_innocent_text_survives_short_values_of_secret_names(tmp_path, monkeypatch):
    monkeypatch.setenv("SSH_KEY", "a\nb")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    log = open_log(tmp_path)
    assert log.append(Kind.WARNING, code="x", text="a false bananas")["text"] == "a false bananas"
    log.close()


def test_unknown_members_and_kinds_are_kept_by_the_reader(tmp_path):
    log = open_log(tmp_path)
    log.append("from_the_future", answer=42)
    log.close()
    assert events.read(tmp_path)[0]["answer"] == 42


@pytest.mark.parametrize(
    "line",
    [b"[" * 100_000, b'{"a":' * 5000 + b"1" + b"}" * 5000, b'{"n":' + b"9" * 5000 + b"}", b'{"n":1e999}'],
    ids=["deep", "deep objects", "5,000 digits", "beyond floats"],
)
def test_a_line_that_no_json_reader_takes_is_a_damaged_line(line):
    with pytest.raises(ValueError):
        events.decode(line)
