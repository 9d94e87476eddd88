"""Tokenizers: pieces, merges, learned vocabularies, and vocabularies that cannot be used."""

import base64

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aira_jax.proxies.corpora import bpe, tokenizers

TEXT = "the cat sat on the mat, and the cat sat on the hat."


@pytest.mark.parametrize(
    "text, expected",
    [
        ("Hello world", ["Hello", " world"]),
        ("it's 2026!?", ["it", "'s", " 2026", "!?"]),
        ("a  b", ["a", " ", " b"]),
        ("end.\n\n Next", ["end", ".", "\n\n", " Next"]),
        ("tail  ", ["tail", "  "]),
        ("x²½ Ⅷ", ["x", "²½", " Ⅷ"]),
        ("naïve 日本語 e\u0301", ["naïve", " 日本語", " e", "\u0301"]),
        ("a\u00a0b\u2003c", ["a", "\u00a0", "b", "\u2003", "c"]),
        ("snake_case", ["snake", "_", "case"]),
        ("we'RE", ["we", "'", "RE"]),
    ],
)
def test_text_is_cut_as_gpt2_cuts_it(text, expected):
    assert bpe.pieces(text) == expected


@given(st.text())
def test_no_character_is_lost_between_pieces(text):
    assert "".join(bpe.pieces(text)) == text


def test_the_pair_of_lowest_rank_merges_first():
    ranks = {bytes([byte]): byte for byte in range(256)} | {b"bc": 256, b"ab": 257, b"abc": 258}
    assert bpe.merge(b"abc", ranks) == [258]  # a + bc
    assert bpe.merge(b"abab", ranks) == [257, 257]
    assert bpe.merge(b"abcd", ranks | {b"cd": 255.5}) == [257, 255.5]


def test_the_most_frequent_pair_is_learned_first_and_ties_go_by_bytes():
    ranks = bpe.learn(["ab ab ab cd cd cd xy"], 260)
    assert list(ranks)[256:] == [b" c", b" cd", b"ab", b" ab"]  # three, three, three and two times
    assert list(ranks.values()) == list(range(260))


def learned(size):
    return list(bpe.learn([TEXT], size))[256:]


def test_learning_follows_the_counts():
    # "th", "he": 4 times each, "at": 5 times
    assert learned(257) == [b"at"]
    assert set(learned(258)) == {b"at", b"he"}
    assert set(learned(259)) == {b"at", b"he", b"the"}
    assert len(learned(1000)) < 100  # pairs that occur once are not learned
    assert learned(300) == learned(300)


texts = st.text(alphabet="ab c'é日\n", max_size=60)


@given(texts)
def test_tokens_put_together_are_the_text(text):
    tokenizer = tokenizers.make("bpe:300", texts=[TEXT, "é日é日 é日"])
    tokens = {rank: token for token, rank in tokenizer.ranks.items()}
    encoded = tokenizer.encode(text)
    assert b"".join(tokens[int(rank)] for rank in encoded).decode() == text
    assert tokenizer.lengths[encoded].sum() == len(text.encode())


def test_bytes_are_their_own_tokens():
    tokenizer = tokenizers.make("byte")
    assert tokenizer.encode("aé").tolist() == [97, 195, 169]
    assert (tokenizer.vocab, tokenizer.end) == (257, 256)
    assert tokenizer.lengths.tolist() == [1] * 256 + [0]


def test_a_learned_vocabulary_shortens_the_text_and_has_its_own_digest():
    byte, learned = tokenizers.make("byte"), tokenizers.make("bpe:300", texts=[TEXT])
    assert len(learned.encode(TEXT)) < len(byte.encode(TEXT)) / 2
    assert learned.vocab <= 300
    assert byte.digest != learned.digest == tokenizers.make("bpe:300", texts=[TEXT]).digest


MERGES = "#version: 0.2\nt h\nh e\nth e\nĠ the\nĠ c\n"


def test_a_file_of_merges_gives_the_ids_of_gpt2(tmp_path):
    (tmp_path / "merges.txt").write_text(MERGES, encoding="utf-8")
    tokenizer = tokenizers.make("gpt2", ranks=tmp_path)
    assert [tokenizer.ranks[token] for token in (b"!", b"A", b"\n", b" ", b"\xff")] == [0, 32, 198, 220, 187]
    assert tokenizer.ranks[b"th"] == 256
    assert tokenizer.encode("the the").tolist() == [258, 259]
    assert tokenizer.end == tokenizer.vocab - 1 == 261


def test_a_tiktoken_file_gives_the_same_tokenizer(tmp_path):
    (tmp_path / "merges.txt").write_text(MERGES, encoding="utf-8")
    merges = tokenizers.make("gpt2", ranks=tmp_path)
    lines = [f"{base64.b64encode(token).decode()} {rank}" for token, rank in merges.ranks.items()]
    (tmp_path / "gpt2.tiktoken").write_text("\n".join(lines))
    other = tokenizers.make("gpt2", ranks=tmp_path / "gpt2.tiktoken")
    assert other.digest == merges.digest
    np.testing.assert_array_equal(other.encode(TEXT), merges.encode(TEXT))


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("merges.txt", "a b c\n", "not a vocabulary of byte-pair merges"),
        ("merges.txt", "日 本\n", "not a vocabulary"),
        ("merges.txt", "", "only 256 tokens"),
        ("x.tiktoken", "!!! 3\n", "not a vocabulary"),
        ("x.tiktoken", "YQ== 5\n", "only 1 tokens"),
        ("vocab.json", "{}", "no such vocabulary; it must be, or hold, one of merges.txt"),
    ],
)
def test_what_is_wrong_with_a_vocabulary_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        tokenizers.make("gpt2", ranks=tmp_path)


def test_ids_must_have_no_gap_and_bytes_must_all_be_there():
    ranks = {bytes([byte]): byte for byte in range(256)}
    with pytest.raises(ValueError, match="must be 0, 1, 2"):
        tokenizers.Tokenizer("x", ranks | {b"ab": 300})
    del ranks[b"\x07"]
    with pytest.raises(ValueError, match="the first is 7"):
        tokenizers.Tokenizer("x", ranks | {b"ab": 7})


@pytest.mark.parametrize(
    "name, message",
    [
        ("bytes", r'did you mean "byte"\?'),
        ("bpe:20", "use a size from 258 to 65536"),
        ("gpt2", "AIRA_JAX_GPT2"),
    ],
)
def test_tokenizers_that_cannot_be_had_are_named(name, message):
    with pytest.raises(ValueError, match=message):
        tokenizers.make(name)
