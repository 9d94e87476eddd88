"""Pretraining's data: tokenizers, the split, windows, and records that are functions of (seed, step, row)."""

import base64
import dataclasses
import gzip
import json
import threading

import numpy as np
import pytest

from aira_jax.pretrain.data import Ahead, DataConfig, documents, make_source, tokenizers
from aira_jax.pretrain.data.documents import Side
from aira_jax.pretrain.data.windows import Stream, cut, stream
from aira_jax.proxies.corpora import bpe
from aira_jax.proxies.corpora.bpe import Splitter, Ties

EMBEDDED = DataConfig(tokenizer="byte", held_out_every=20)


@pytest.fixture(scope="module")
def source():
    return make_source(EMBEDDED, length=64, vocab=300, rows=8)


@pytest.mark.parametrize(
    ("splitter", "text", "expected"),
    [
        (Splitter.GPT2, "I'll pay $1234, ok?\n\n x", ["I", "'ll", " pay", " $", "1234", ",", " ok", "?", "\n\n", " x"]),
        (Splitter.GPT4, "I'LL pay 12345", ["I", "'LL", " pay", " ", "12", "34", "5"]),
        (Splitter.GPT4, "a\n\nb", ["a", "\n\n", "b"]),
        (Splitter.LLAMA3, "I'LL pay 12345", ["I", "'LL", " pay", " ", "123", "45"]),
        (Splitter.LLAMA3, "(é) go!!\n\n  now", ["(é", ")", " go", "!!\n\n", " ", " now"]),
    ],
)
def test_text_is_cut_as_the_splitter_says(splitter, text, expected):
    assert bpe.pieces(text, splitter) == expected


def test_equally_frequent_pairs_merge_by_bytes_or_by_ids():
    texts = 3 * ["!!"] + 2 * ["!!%"] + 2 * ["#%"]  # "!!" has id 256; then ("!!", "%") and ("#", "%") occur twice each
    assert list(bpe.learn(texts, 258, ties=Ties.BYTES))[-2:] == [b"!!", b"!!%"]
    assert list(bpe.learn(texts, 258, ties=Ties.IDS))[-2:] == [b"!!", b"#%"]


def test_a_pair_that_occurs_once_merges_only_on_request():
    assert len(bpe.learn(["xy"], 300)) == 256
    assert len(bpe.learn(["xy"], 300, least=1)) == 257


def test_text_survives_encoding_and_the_file_of_a_tokenizer(tmp_path):
    made = tokenizers.make("bpe:300", ["the cat and the hat"] * 5)
    tokenizers.save(made, tmp_path / "tokenizer.json")
    loaded = tokenizers.load(tmp_path / "tokenizer.json")
    text = "the cat, naïve 漢字 \n\t end"
    assert loaded.decode(made.encode(text)) == text
    assert (loaded.vocab, loaded.begin, loaded.end, loaded.digest) == (made.vocab, made.begin, made.end, made.digest)
    assert made.lengths[made.encode(text)].sum() == len(text.encode())
    assert made.lengths[[made.begin, made.end]].tolist() == [0, 0]


def test_a_damaged_tokenizer_file_is_named(tmp_path):
    path = tmp_path / "tokenizer.json"
    tokenizers.save(tokenizers.make("byte"), path)
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(facts | {"digest": "0" * 64}))
    with pytest.raises(ValueError, match=r"tokenizer\.json: the file is damaged"):
        tokenizers.load(path)


def test_llama3_reads_a_rank_file_and_counts_its_ranks(tmp_path):
    assert len(tokenizers.LLAMA3_SPECIALS) == len(set(tokenizers.LLAMA3_SPECIALS)) == 256
    path = tmp_path / "tokenizer.model"
    path.write_text("\n".join(f"{base64.b64encode(bytes([i])).decode()} {i}" for i in range(256)) + "\nYWI= 256\n")
    with pytest.raises(ValueError, match="257 ranks, Llama 3 has 128,000"):
        tokenizers.make(f"llama3:{path}")


def test_unknown_tokenizers_name_the_nearest():
    with pytest.raises(ValueError, match='did you mean "llama3:PATH"'):
        tokenizers.make("llama3-PATH")
    with pytest.raises(ValueError, match="use a size from 260"):
        tokenizers.make("bpe:12")


def test_huggingface_files_give_the_same_tokens_and_lengths():
    library = pytest.importorskip("tokenizers", reason="needs the extra data: pip install 'aira-jax[data]'")
    trained = library.Tokenizer(library.models.BPE())
    trained.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = library.decoders.ByteLevel()
    alphabet = library.pre_tokenizers.ByteLevel.alphabet()
    trainer = library.trainers.BpeTrainer(vocab_size=300, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet)
    texts = list(documents.texts(EMBEDDED))[:50]
    trained.train_from_iterator(texts, trainer)
    found = tokenizers.HuggingFace(trained.to_str(), "hf:x")
    tokens = found.encode(texts[0])
    assert found.decode(tokens) == texts[0]
    assert found.lengths[tokens].sum() == len(texts[0].encode())
    assert (found.begin, found.end, found.vocab) == (0, 1, 300)


def test_windows_give_the_stream_back_and_every_token_is_a_target_once():
    tokens = stream(tokenizers.make("byte"), ["one", "two and three", "four"])
    windows = Stream(tokens, 5)
    rows = windows.take(range(len(windows)))
    assert np.concatenate([rows[:, :-1].ravel(), rows[-1:, -1]]).tolist() == tokens[: len(windows) * 5 + 1].tolist()
    assert rows[1:, 0].tolist() == rows[:-1, -1].tolist()
    pieces = [tokens[:3], tokens[3:4], tokens[4:]]
    assert [window.tolist() for window, _ in cut(pieces, 5)] == rows.tolist()


def test_documents_lie_on_one_side_by_their_text():
    sides = {side: set(documents.of_side(EMBEDDED, side)) for side in Side}
    assert sides[Side.TRAIN]
    assert sides[Side.VALIDATION]
    assert not sides[Side.TRAIN] & sides[Side.VALIDATION]
    assert len(sides[Side.VALIDATION]) < len(sides[Side.TRAIN]) / 10


def test_a_record_depends_on_seed_step_and_row_alone(source):
    whole = source.batch(1, 3)
    again = make_source(EMBEDDED, length=64, vocab=300, rows=8)
    again.batch(1, 200)
    assert np.array_equal(again.record(1, 3, 5), whole[5])
    assert np.array_equal(source.batch(1, 3, [6, 2]), whole[[6, 2]])
    assert not np.array_equal(source.batch(2, 3), whole)
    assert (whole.dtype, whole.shape) == (np.int32, (8, 65))
    assert again.digest == source.digest


def test_every_epoch_shows_every_window_once_in_an_order_of_its_own(source):
    count = len(source.train)
    seen = [source.number(0, *divmod(position, 8)) for position in range(2 * count)]
    assert sorted(seen[:count]) == sorted(seen[count:]) == list(range(count))
    assert seen[:count] != seen[count:]


def test_another_corpus_or_length_has_another_digest(source):
    assert make_source(EMBEDDED, length=32, vocab=300, rows=8).digest != source.digest
    other = dataclasses.replace(EMBEDDED, held_out_every=21)
    assert make_source(other, length=64, vocab=300, rows=8).digest != source.digest


def test_random_tokens_need_no_tokenizer():
    source = make_source(DataConfig(kind="synthetic"), length=16, vocab=50, rows=4)
    batch = source.batch(0, 10**4)
    assert source.tokenizer is None
    assert 0 <= batch.min() < batch.max() < 50
    assert not np.array_equal(source.held_out(4), source.batch(0, 0))


def test_compressed_and_plain_files_hold_the_same(tmp_path):
    lines = "".join(json.dumps({"text": f"document {i}, " * 9}) + "\n" for i in range(60))
    (tmp_path / "a.jsonl").write_text(lines)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    names = ["a.jsonl", "b.jsonl.gz"]
    try:
        import zstandard
    except ImportError:
        pass
    else:
        (tmp_path / "c.jsonl.zst").write_bytes(zstandard.compress(lines.encode()))
        names.append("c.jsonl.zst")
    digests = {
        make_source(
            DataConfig("text", str(tmp_path / name), tokenizer="byte", held_out_every=5), length=20, vocab=258, rows=2
        ).digest
        for name in names
    }
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("config", "vocab", "message"),
    [
        ({"kind": "shard"}, 300, 'did you mean "shards"'),
        ({"kind": "text"}, 300, "data.kind=text needs data.path"),
        ({"kind": "text", "path": "absent.jsonl"}, 300, "no such file or folder"),
        ({"tokenizer": "byte"}, 200, "has 258 tokens, the model 200: set model.vocab to at least 258"),
        ({"tokenizer": "byte", "held_out_every": 10**9}, 300, "no validation window"),
        ({"held_out_every": 1}, 300, "at least 2"),
        ({"kind": "shards", "path": "absent"}, 300, "write them with python scripts/corpus_shards.py"),
    ],
)
def test_bad_settings_are_refused_with_the_mend(config, vocab, message):
    with pytest.raises(ValueError, match=message):
        make_source(DataConfig(**config), length=64, vocab=vocab, rows=8)


def test_batches_are_made_ahead_and_never_beyond_the_end():
    made, enough = [], threading.Event()

    def make(step):
        made.append(step)
        if len(made) == 3:
            enough.set()
        return step * 10

    with Ahead(make, depth=2, end=4) as ahead:
        assert ahead(0) == 0
        assert enough.wait(5)
        assert [ahead(step) for step in (1, 2, 3)] == [10, 20, 30]
    assert made == [0, 1, 2, 3]


def test_a_failing_batch_fails_where_it_is_asked_for():
    def make(step):
        if step == 1:
            raise ValueError("shard is gone")
        return step

    with Ahead(make, depth=3, end=9) as ahead:
        assert ahead(0) == 0
        with pytest.raises(ValueError, match="shard is gone"):
            ahead(1)
