"""Corpora: every format gives the same documents, none is on both sides of a split, and what is wrong is named."""

import dataclasses
import gzip
import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

from aira_jax.proxies import corpora, mad, text_fidelity
from aira_jax.proxies.corpora import CorpusTooSmall, Short, documents, readers, stories, windows
from aira_jax.proxies.text_fidelity import Kind

SHARED = Path(os.environ.get("AIRA_JAX_SHARED") or Path(__file__).parents[2].parent / "shared" / "data")
SAMPLES = {"babistories": "tinystories_2mib.jsonl.gz", "dclm": "dclm_human_labelled_780.jsonl.gz"}
TINY = dataclasses.replace(text_fidelity.get("babistories", "smoke"), name="tiny", length=16, train=20, test=8)
TEXTS = [f"Story {i}: once there was a number {i * i}.\nIt was seen by {i} cats." for i in range(40)]


def sample(kind):
    path = SHARED / "text" / SAMPLES[kind]
    if not path.exists():
        pytest.skip(f"{path} is absent: set AIRA_JAX_SHARED to the folder of reference data")
    return path


def ids(path, seed=0, **reading):
    found = documents.collect(path, seed=seed, **{"field": "text", "separator": readers.SEPARATOR} | reading)
    return [document.id for document in found.documents]


def write(path, content):
    opener = gzip.open if path.name.endswith(".gz") else open
    with opener(path, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
    return path


def json_lines(values):
    return "".join(json.dumps(value) + "\n" for value in values)


# Formats.


@pytest.mark.parametrize(
    "name, content",
    [
        ("a.jsonl", json_lines({"id": 1, "text": text} for text in TEXTS)),
        ("a.jsonl.gz", json_lines({"text": text} for text in TEXTS)),
        ("a.jsonl", json_lines(TEXTS)),
        ("traindataset.txt", json_lines(TEXTS)),
        ("a.txt", readers.SEPARATOR.join(TEXTS)),
        ("a.txt.gz", f"\n{readers.SEPARATOR}\n".join(TEXTS)),
        ("a.jsonl", json_lines([*TEXTS, TEXTS[3], " \n", TEXTS[7]])),
    ],
)
def test_every_format_gives_the_same_documents(tmp_path, name, content):
    expected = {hashlib.sha256(text.encode()).hexdigest() for text in TEXTS}
    found = ids(write(tmp_path / name, content))
    assert set(found) == expected
    assert len(found) == len(expected)


def test_parquet_columns_are_documents(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="reading parquet is optional")
    import pyarrow

    parquet.write_table(pyarrow.table({"body": TEXTS}), tmp_path / "a.parquet")
    assert len(ids(tmp_path / "a.parquet", field="body")) == len(TEXTS)


def test_a_separator_can_be_named(tmp_path):
    path = write(tmp_path / "a.txt", "one\n===\ntwo\n===\nthree")
    assert len(ids(path, separator="===")) == 3


def token_file(folder, values, **sidecar):
    np.array(values, "<u2").tofile(folder / "a.bin")
    facts = {"dtype": "uint16", "vocab": 10, "end": 9} | sidecar
    (folder / "a.json").write_text(json.dumps(facts))
    return folder / "a.bin"


def test_token_files_fall_into_documents_at_the_end_mark(tmp_path):
    path = token_file(tmp_path, [1, 2, 9, 9, 3, 9, 1, 2, 9, 4], lengths=[1] * 9 + [0])
    found = documents.collect(path, field="text", separator="|", seed=0)
    assert sorted(document.content.tolist() for document in found.documents) == [[1, 2], [3], [4]]
    assert found.duplicates == 1
    assert found.facts.lengths == (1,) * 9 + (0,)


def test_windows_of_a_token_file_have_its_own_vocabulary(tmp_path):
    rng = np.random.default_rng(0)
    values = np.where(np.arange(3000) % 30 == 29, 9, rng.integers(0, 9, 3000))
    data = corpora.open("babistories", token_file(tmp_path, values), preset=TINY)
    assert (data.vocab, data.lengths, data.corpus["tokenizer"]) == (10, None, "tokens")
    assert data.train.x.shape == (20, 16)


# Splitting and windows.


def test_targets_are_the_next_tokens_of_their_stream():
    data = corpora.open("babistories", preset=TINY)
    fit, held = (data.train[rows] for rows in mad.validation_indices(20))
    for rows, count in ((fit, 14), (held, 6), (data.test, 8)):
        assert rows.x.shape == rows.y.shape == (count, 16)
        stream = rows.x.reshape(-1)
        np.testing.assert_array_equal(rows.y.reshape(-1)[:-1], stream[1:])
        assert (rows.y[:-1] >= 0).all()


def test_the_target_after_the_end_of_all_text_is_ignored(tmp_path):
    path = write(tmp_path / "a.jsonl", json_lines(["ab" * 7 + "c", "xy" * 7 + "z", "12" * 7 + "3"]))
    preset = dataclasses.replace(TINY, train=2, test=1)
    data = corpora.open("babistories", path, preset=preset)
    assert (data.train.y[:, -1] == mad.IGNORED).all()  # a window to fit and one held out, of documents of their own
    assert data.test.y[-1, -1] == mad.IGNORED
    assert (data.train.x[:, -1] == 256).all()  # each document fills a window, end mark included


def test_packing_windows_loses_nothing():
    rows = corpora.open("dclm", preset=dataclasses.replace(TINY, kind=Kind.DCLM)).train
    again = windows.unpack(**{f"{name}_N{'T' * (name == 'x')}": array for name, array in windows.pack(rows).items()})
    for name in ("x", "y", "probe"):
        np.testing.assert_array_equal(getattr(again, name), getattr(rows, name))


def sides(path, seed=12345, preset=TINY):
    found = documents.collect(path, field="text", separator=readers.SEPARATOR, seed=seed)
    _, manifest = windows.build(found, preset, "byte", ranks=None, seed=seed, short=Short.REFUSE)
    return set(manifest.documents["train"]), set(manifest.documents["test"])


def test_no_document_is_on_both_sides_and_the_seed_moves_them():
    train, test = sides(None)
    assert train
    assert test
    assert not train & test
    assert sides(None, seed=1) != (train, test)
    assert sides(None) == (train, test)


def test_the_order_of_documents_in_a_file_does_not_matter(tmp_path):
    one, other = (write(tmp_path / f"{i}.jsonl", json_lines(t)) for i, t in enumerate((TEXTS, TEXTS[::-1])))
    assert ids(one) == ids(other) != ids(one, seed=1)


def test_a_corpus_with_its_own_split_keeps_it(tmp_path):
    write(tmp_path / "traindataset.txt", json_lines(TEXTS[:30]))
    write(tmp_path / "valdataset.txt", json_lines(TEXTS[25:]))
    (tmp_path / "README").write_text("no corpus")
    train, test = sides(tmp_path, preset=dataclasses.replace(TINY, train=90, test=40))
    allowed = {hashlib.sha256(text.encode()).hexdigest() for text in TEXTS[25:]}
    assert test <= allowed
    assert not train & allowed  # the five documents that both files hold are for testing only


def test_seventy_percent_of_the_train_windows_are_fitted():
    for count, fitted in ((649_010 + 278_148, 649_010), (10_000, 7_000)):
        assert [len(part) for part in mad.validation_indices(count)] == [fitted, count - fitted]


# Presets.


def test_the_paper_preset_holds_the_counts_of_the_paper():
    stories_, dclm = (text_fidelity.get(kind, "paper") for kind in Kind)
    assert (stories_.train, stories_.test) == (474_704_907 // 512, 4_749_107 // 512) == (927_158, 9_275)
    assert (dclm.train, dclm.test) == (10_000, 9_275)
    assert (stories_.steps(), dclm.steps()) == (7_244, 316)
    assert (dclm.d, dclm.length, dclm.batch, dclm.tokenizer) == (128, 512, 128, "gpt2")
    assert (dclm.lr, dclm.final_lr, dclm.warmup, dclm.weight_decay, dclm.clip) == (1e-3, 1e-4, 100, 0.1, 1.0)
    assert (dclm.b1, dclm.b2) == (0.9, 0.95)


def test_resolved_changes_with_everything_but_the_names():
    base = json.dumps(TINY.resolved(), sort_keys=True)
    assert json.dumps(dataclasses.replace(TINY, name="other").resolved(), sort_keys=True) == base
    for change in ({"lr": 2e-3}, {"warmup": 3}, {"clip": 2.0}, {"length": 8}):
        assert json.dumps(dataclasses.replace(TINY, **change).resolved(), sort_keys=True) != base


@pytest.mark.parametrize(
    "change, message", [({"d": 20}, "no multiple of 8"), ({"epochs": 0}, "at least 1"), ({"train": 1}, "at least 2")]
)
def test_impossible_presets_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **change)


def test_a_corpus_that_is_too_small_names_what_fits():
    with pytest.raises(CorpusTooSmall) as caught:
        corpora.open("babistories", preset="cpu-s")
    first, second = str(caught.value).splitlines()
    assert "corpus builtin is too small for preset cpu-s of babistories" in first
    assert "2,000 and 512 needed" in first
    assert "presets that fit: smoke, demo;" in second
    for name in ("smoke", "demo"):
        assert not corpora.open("babistories", preset=name).corpus["short"]


def test_a_short_corpus_is_used_on_request_with_its_true_counts(tmp_path):
    path = write(tmp_path / "a.jsonl", json_lines(TEXTS))
    data = corpora.open("babistories", path, preset="smoke", short=Short.ALLOW)
    assert data.corpus["short"]
    assert data.corpus["wanted"] == {"train": 64, "test": 64}
    assert data.corpus["windows"] == {"train": len(data.train), "test": len(data.test)}
    assert 0 < len(data.train) < 64
    with pytest.raises(CorpusTooSmall, match="presets that fit: none"):
        corpora.open("babistories", write(tmp_path / "b.jsonl", '"tiny"\n'), preset="smoke", short=Short.ALLOW)


# The built-in corpus and the store.


def test_the_built_in_stories_are_the_same_everywhere():
    told = list(stories.stories())
    assert 200_000 <= sum(len(story.encode()) for story in told) < 201_000
    assert len(set(told)) == len(told)
    assert hashlib.sha256("\0".join(told).encode()).hexdigest()[:16] == "41539cf16c31405b"
    assert next(stories.stories(seed=1)) != told[0]


def test_windows_are_kept_with_their_manifest_and_made_again_when_damaged(tmp_path, monkeypatch):
    fresh = corpora.open("babistories", preset=TINY, cache_dir=tmp_path)
    (kept,) = (tmp_path / "corpora").glob("*.npz")
    manifest = json.loads(kept.with_suffix(".json").read_text())
    assert manifest["corpus"] == "builtin"
    assert len(manifest["documents"]["train"]) == fresh.corpus["documents"]["train"]
    with monkeypatch.context() as patched:
        patched.setattr(documents, "collect", None)  # a hit reads no document
        again = corpora.open("babistories", preset=TINY, cache_dir=tmp_path)
    assert again.corpus == fresh.corpus
    np.testing.assert_array_equal(again.train.y, fresh.train.y)
    np.testing.assert_array_equal(again.lengths, fresh.lengths)
    kept.write_bytes(kept.read_bytes()[:100])
    assert corpora.open("babistories", preset=TINY, cache_dir=tmp_path).corpus == fresh.corpus


# Bad input.


@pytest.mark.parametrize(
    "name, content, message",
    [
        (
            "a.jsonl",
            '{"text": "x"}\n{"text": 3}\n',
            r"a.jsonl line 2: no text in the field 'text'; its fields are text",
        ),
        ("a.jsonl", '{"text": "x"}\n{"tex', r"a.jsonl line 2: not JSON"),
        ("a.jsonl", '"x"\n"\\ud800"\n', r"a.jsonl line 2: half of a surrogate pair"),
        ("a.jsonl.gz", None, r"a.jsonl.gz: the compressed file is damaged"),
        ("a.txt", b"\xff\xfe\n", r"a.txt: not UTF-8"),
        ("a.txt", "  \n", r"no document that is not empty"),
        ("a.docx", "x", r"no file ends with one of .jsonl"),
        ("a.bin", b"\x00\x00", r"its sidecar a.json is missing \(it must hold, for example"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(tmp_path, name, content, message):
    path = tmp_path / name
    if content is None:
        write(path, json_lines(TEXTS))
        path.write_bytes(path.read_bytes()[:-20])
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ValueError, match=message):
        ids(path)


@pytest.mark.parametrize(
    "sidecar, message",
    [
        ({"dtype": "int8"}, "neither uint16 nor uint32"),
        ({"vocab": 3}, "tokens up to 4"),
        ({"end": 10}, "end 10, but the vocabulary is 10"),
        ({"vocab": None}, "TypeError"),
        ({"lengths": [1]}, "1 lengths for a vocabulary of 10"),
    ],
)
def test_what_is_wrong_with_a_sidecar_is_named(tmp_path, sidecar, message):
    with pytest.raises(ValueError, match=message):
        ids(token_file(tmp_path, [1, 4], **sidecar))


def test_unknown_names_suggest_the_nearest(tmp_path):
    with pytest.raises(ValueError, match=r"""unknown text proxy 'babystories' \(did you mean "babistories"\?\)"""):
        text_fidelity.get("babystories", "smoke")
    with pytest.raises(ValueError, match=r"""unknown preset 'cpu_s' \(did you mean "cpu-s"\?\)"""):
        corpora.open("dclm", preset="cpu_s")
    with pytest.raises(ValueError, match="belongs to babistories, not to dclm"):
        corpora.open("dclm", preset=TINY)
    with pytest.raises(ValueError, match="no such file or folder"):
        corpora.open("dclm", tmp_path / "absent", preset="smoke")


# Real samples.


@pytest.mark.parametrize("kind", SAMPLES)
def test_real_samples_split_without_overlap_and_with_a_stable_manifest(kind, tmp_path):
    path, preset = sample(kind), text_fidelity.get(kind, "cpu-s")
    first, second = (corpora.open(kind, path, preset=preset) for _ in range(2))
    assert first.corpus == second.corpus
    assert first.corpus["corpus"] == SAMPLES[kind]
    assert (first.train.x.shape, first.test.x.shape) == ((2000, 128), (512, 128))
    train, test = sides(path, preset=preset)
    assert (len(train), len(test)) == tuple(first.corpus["documents"][split] for split in ("train", "test"))
    assert not train & test
    with pytest.raises(CorpusTooSmall, match="presets that fit: smoke, demo, cpu-s;"):
        corpora.open(kind, path, "byte", preset=dataclasses.replace(preset, train=40_000))


def test_the_real_samples_hold_the_documents_that_their_sources_tell():
    for kind, total, duplicates in (("babistories", 2316, 0), ("dclm", 780, 281)):
        found = documents.collect(sample(kind), field="text", separator=readers.SEPARATOR, seed=0)
        assert len(found.documents) + found.duplicates == total
        assert found.duplicates == duplicates


def test_no_document_is_fitted_and_scored_for_validation(tmp_path):
    texts = [f"{chr(0x4E00 + i)} " * (20 + 7 * i % 90) for i in range(60)]  # every document has a sign of its own
    path = tmp_path / "signs.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    for train in (400, 401, 10_000):
        preset = dataclasses.replace(TINY, train=train, test=4)
        data = corpora.open("babistories", path, preset=preset, short=Short.ALLOW)
        fit, held = (data.train[rows].x for rows in mad.validation_indices(len(data.train)))
        signs = [set(bytes(rows[rows < 256].astype(np.uint8)).decode(errors="ignore")) - {" "} for rows in (fit, held)]
        assert not signs[0] & signs[1]
        assert min(map(len, signs)) > 2
