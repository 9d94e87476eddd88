"""The result cache: claims, waiting, takeover, kills, damage."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from aira_jax.proxies import cache
from aira_jax.proxies.cache import ResultCache, content_key

KEY = content_key({"a": 1})
WORKER = """
import sys, time
from pathlib import Path
from aira_jax.proxies.cache import ResultCache
folder, key, seconds = sys.argv[1:]
with ResultCache(folder).claim(key) as claimed:
    if claimed.result is None:
        with open(Path(folder) / "trained", "a") as log:
            log.write("x")
        print("training", flush=True)
        time.sleep(float(seconds))
        claimed.store({"score": 0.5})
    print(claimed.result["score"], flush=True)
"""


def worker(folder, seconds):
    argv = [sys.executable, "-c", WORKER, str(folder), KEY, str(seconds)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


def test_keys_ignore_order_and_separate_content():
    assert content_key({"a": 1, "b": [2, None]}) == content_key({"b": [2, None], "a": 1})
    assert content_key({"a": 1}) != content_key({"a": 1.5})
    assert content_key({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    with pytest.raises(ValueError, match="not JSON compliant"):
        content_key({"a": float("nan")})


def test_a_stored_result_is_found_and_its_claim_is_gone(tmp_path):
    results = ResultCache(tmp_path)
    with results.claim(KEY) as claimed:
        assert claimed.result is None
        claimed.store({"score": 1})
    assert results.get(KEY) == {"score": 1}
    with results.claim(KEY) as claimed:
        assert claimed.result == {"score": 1}
    assert sorted(p.name for p in results.path(KEY).parent.iterdir()) == [".lock", f"{KEY}.json"]


def test_the_newest_of_several_keys_with_one_beginning_is_found(tmp_path):
    results = ResultCache(tmp_path)
    for age, key in ((9, KEY), (5, KEY[:-1] + "x"), (7, KEY[:-1] + "y")):
        with results.claim(key) as claimed:
            claimed.store({"age": age})
        os.utime(results.path(key), (1e9 - age, 1e9 - age))
    assert results.newest(KEY[:40]) == {"age": 5}
    assert results.newest("00") is None


def test_a_failed_computation_leaves_neither_result_nor_claim(tmp_path):
    results = ResultCache(tmp_path)
    with pytest.raises(RuntimeError, match="boom"), results.claim(KEY):
        raise RuntimeError("boom")
    assert results.get(KEY) is None
    assert not results.path(KEY).with_suffix(".claim").exists()


def test_two_processes_compute_a_key_once(tmp_path):
    first, second = worker(tmp_path, 0.5), worker(tmp_path, 0.5)
    outputs = [process.communicate(timeout=60)[0] for process in (first, second)]
    assert (tmp_path / "trained").read_text() == "x"
    assert all(output.endswith("0.5\n") for output in outputs)


def test_a_killed_owner_is_replaced_at_once_and_nothing_is_corrupt(tmp_path):
    first = worker(tmp_path, 600)
    assert first.stdout.readline() == "training\n"
    first.send_signal(signal.SIGKILL)
    first.communicate()
    start = time.monotonic()
    assert worker(tmp_path, 0).communicate(timeout=60)[0] == "training\n0.5\n"
    assert time.monotonic() - start < cache.STALE_S / 10
    assert [json.loads(p.read_text()) for p in tmp_path.rglob("*.json")] == [{"score": 0.5}]
    assert not list(tmp_path.rglob("*.claim"))


def foreign_claim(results, age_s):
    claim = results.path(KEY).with_suffix(".claim")
    claim.parent.mkdir(parents=True)
    claim.write_text("another machine")
    then = time.time() - age_s
    os.utime(claim, (then, then))
    return claim


def test_a_claim_of_another_machine_ends_ten_minutes_after_its_last_heartbeat(tmp_path):
    results = ResultCache(tmp_path)
    foreign_claim(results, age_s=601)
    with results.claim(KEY) as claimed:
        claimed.store({"score": 2})
    assert results.get(KEY) == {"score": 2}


def test_a_living_claim_of_another_machine_is_waited_for(tmp_path):
    results = ResultCache(tmp_path)
    claim = foreign_claim(results, age_s=500)

    def finish():
        cache.write_atomically(results.path(KEY), b'{"score": 3}')
        claim.unlink()

    timer = threading.Timer(0.5, finish)
    timer.start()
    with results.claim(KEY) as claimed:
        assert claimed.result == {"score": 3}
    timer.join()


def test_the_heartbeat_keeps_a_claim_young(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "HEARTBEAT_S", 0.02)
    results = ResultCache(tmp_path)
    claim = results.path(KEY).with_suffix(".claim")
    with results.claim(KEY):
        os.utime(claim, (0, 0))
        deadline = time.monotonic() + 10
        while claim.stat().st_mtime == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert time.time() - claim.stat().st_mtime < 60


def test_two_threads_compute_a_key_once(tmp_path):
    results, computed = ResultCache(tmp_path), []

    def work():
        with results.claim(KEY) as claimed:
            if claimed.result is None:
                computed.append(1)
                time.sleep(0.1)
                claimed.store({"score": 1})

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert computed == [1]


def test_a_damaged_result_is_put_aside_and_computed_again(tmp_path):
    results = ResultCache(tmp_path)
    cache.write_atomically(results.path(KEY), b'{"score": 0.')
    with results.claim(KEY) as claimed:
        assert claimed.result is None
        claimed.store({"score": 4})
    assert results.get(KEY) == {"score": 4}
    assert results.path(KEY).with_suffix(".damaged").exists()
