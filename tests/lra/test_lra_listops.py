"""ListOps: values, text forms, the vectorised generator against the plain one, pinned hashes, bad parameters."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from listops_reference import reference_sample

from lra.data import listops, listops_build, listops_trees, philox, store
from lra.data.philox import Tag

TAGS = {"train": Tag.TRAIN, "validation": Tag.VALIDATION, "test": Tag.TEST}


def value(source: str) -> int:
    return listops.evaluate(listops.ids_of(source))


def sha(rows: listops_trees.Rows) -> str:
    return hashlib.sha256(listops.lines(rows.tokens, rows.lengths, rows.labels)).hexdigest()


def test_first_words_of_the_test_stream():
    words = [hex(word) for word in philox.Words(0, Tag.TEST).block(0, 4).tolist()]
    assert words == ["0xd07eb80c9ffc0c00", "0x708eebd5fe6d0226", "0x4cba73ab470ca202", "0x9c9364d3c6393130"]


def test_a_block_may_start_anywhere_in_its_stream():
    words = philox.Words(3, Tag.TRAIN)
    np.testing.assert_array_equal(words.block(7, 40)[12:], words.block(7, 28, start=12))


@pytest.mark.parametrize(
    "source, expected",
    [
        ("[MAX 4 3 [MIN 2 3 ] 1 0 ]", 4),
        ("[MED 1 2 ]", 1),
        ("[MED 8 9 ]", 8),
        ("[MED 0 9 ]", 4),
        ("[MED 3 9 8 1 ]", 5),
        ("[SM 9 9 3 ]", 1),
        ("[MIN [SM 5 5 ] 7 ]", 0),
        ("( ( ( [MAX 4 ) 3 ) ] )", 4),
        ("[SM 9 9 3 X", 1),
    ],
)
def test_values(source, expected):
    assert value(source) == expected


@pytest.mark.parametrize(
    "source, message",
    [
        ("[MAX 4 3", "1 list.s. not closed"),
        ("[MAX ]", "closes no list or an empty one"),
        ("4 3", "follows a complete expression"),
        ("", "no tokens"),
        ("[AVG 1 2 ]", "unknown token"),
        ("]", "token 1"),
    ],
)
def test_what_is_not_an_expression_is_an_error(source, message):
    with pytest.raises(ValueError, match=message):
        value(source)


def by_numpy(ids: list[int]) -> int:
    """An independent evaluator: nested lists from the text, numpy for the operators."""
    apply = {"MIN": np.min, "MAX": np.max, "MED": lambda v: int(np.median(v)), "SM": lambda v: np.sum(v) % 10}
    stack: list[list] = [[]]
    for token in listops.text_of(ids).split():
        if token.startswith("["):
            stack.append([token[1:]])
        elif token == "]":
            name, *values = stack.pop()
            stack[-1].append(int(apply[name](values)))
        else:
            stack[-1].append(int(token))
    return stack[0][0]


def test_labels_agree_with_an_independent_evaluator_and_text_forms_read_back():
    rows = listops_trees.draw(1, Tag.TRAIN, 0, 500, listops.Params(max_depth=5, min_length=5, max_length=400))
    assert {d for row in rows.split() for d in row.tolist()} == set(range(1, 16))
    for row, label in zip(rows.split(), rows.labels.tolist(), strict=True):
        ids = row.tolist()
        assert by_numpy(ids) == listops.evaluate(ids) == label
        assert listops.ids_of(listops.parenthesised(ids)) == listops.ids_of(listops.text_of(ids)) == ids


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**64 - 1),
    start=st.integers(0, 2**40),
    depth=st.integers(2, 12),
    args=st.integers(2, 12),
    shortest=st.integers(1, 20),
    room=st.integers(40, 3000),
)
def test_the_vectorised_generator_gives_what_the_plain_one_gives(seed, start, depth, args, shortest, room):
    params = listops.Params(depth, args, shortest, shortest + room)
    try:
        rows = listops_trees.draw(seed, Tag.VALIDATION, start, 4, params)
    except ValueError:
        with pytest.raises(ValueError, match="10000 trees"):
            [reference_sample(seed, Tag.VALIDATION, start + i, params) for i in range(4)]
        return
    plain = [reference_sample(seed, Tag.VALIDATION, start + i, params) for i in range(4)]
    assert [row.tolist() for row in rows.split()] == [ids for ids, _ in plain]
    assert rows.trees == sum(drawn for _, drawn in plain)
    assert rows.labels.tolist() == [listops.evaluate(ids) for ids, _ in plain]


def test_official_samples_agree_with_the_plain_generator():
    rows = listops_trees.draw(0, Tag.TRAIN, 20, 12, listops.OFFICIAL)
    assert [r.tolist() for r in rows.split()] == [reference_sample(0, Tag.TRAIN, i)[0] for i in range(20, 32)]


def test_first_official_samples():
    test = listops_trees.draw(0, Tag.TEST, 0, 3, listops.OFFICIAL)
    train = listops_trees.draw(0, Tag.TRAIN, 0, 3, listops.OFFICIAL)
    assert list(zip(test.lengths, test.labels, strict=True)) == [(1164, 3), (1403, 9), (691, 9)]
    assert list(zip(train.lengths, train.labels, strict=True)) == [(600, 2), (1214, 0), (1177, 3)]
    line = listops.lines(test.tokens[:1164], test.lengths[:1], test.labels[:1])
    assert line.startswith(b"[SM 1 9 [MAX 4 3 9 5 ] [MAX [MIN 2 0 5 3 5 [SM 9")
    assert hashlib.sha256(line).hexdigest() == "204a1d12f2029efd0be7c9afc3b96f06a48fcb19c2ba1e2bbf5883192dc9ca25"


@pytest.mark.parametrize(
    "split, count, expected",
    [
        ("test", 100, "6f107ec2fb8c7777a86b9c08af1fa72ee49b874167f6631bebb7fcabceb7419c"),
        ("test", 2000, "45c6f1a24ae2f0b68f82eec789be423f29fb0b047fbfe15e68ea12189284bfd2"),
        ("validation", 2000, "028eab80f21eb72b38225e9032024d7f7236f8e769ce91618015ac0f00ddd771"),
        ("train", 1000, "3adcca79dd60bee7c88ac07eed0b2bfba4ec41a3b5987c4e3743150dfd4dc793"),
    ],
)
def test_official_hashes(split, count, expected):
    assert sha(listops_trees.draw(0, TAGS[split], 0, count, listops.OFFICIAL)) == expected


def test_smoke_data_have_the_pinned_hashes_and_skips(tmp_path):
    hashes = listops_build.build(tmp_path / "d", 0, listops_build.SMOKE_SIZES, listops.SMOKE, command="make")
    assert hashes == {
        "test": "301272913b9c2b0cae9cff8d2994eddbea3bd14297b50cc30d3edea4f3b56ebf",
        "validation": "d02ae60e0c5005330d764ab3cc0199aedcbfca10d2446d8ea874ca7b48ced673",
        "train": "af2f3b9643e80d8bebc61f195a64885aca517ce767ae598b8d5b6198a25945a8",
    }
    dataset = store.open(tmp_path / "d", "listops")
    assert dataset.meta.details["skipped"] == {"test": 0, "validation": 1, "train": 66}
    first = [listops.text_of(dataset.split("test").documents.row(i).tolist()) for i in range(2)]
    assert first == ["[SM 1 9 [MAX 6 4 2 ] ]", "[MAX 9 [SM 2 3 9 3 ] 5 3 5 ]"]
    assert dataset.split("test").targets_N[:2].tolist() == [6, 9]
    splits = [dataset.split(name) for name in store.SPLITS]
    rows = [split.documents.row(i).tobytes() for split in splits for i in range(len(split))]
    assert len(set(rows)) == len(rows) == 22_000
    assert np.mean([len(row) for row in rows]) == pytest.approx(11.1, abs=0.1)
    listops_build.check(dataset)


def test_worker_processes_change_nothing():
    sizes = {"train": 4500, "validation": 300, "test": 300}
    alone = listops_build.digests(9, sizes, listops.SMOKE, workers=1)
    assert listops_build.digests(9, sizes, listops.SMOKE, workers=2) == alone


def test_a_larger_train_split_leaves_the_others_and_its_own_start_as_they_are():
    kept: dict[int, dict[str, list]] = {}
    for train in (40, 90):
        rows = kept[train] = {}
        sizes = {"train": train, "validation": 20, "test": 30}
        listops_build.generate(5, sizes, listops.SMOKE, lambda name, r, rows=rows: rows.update({name: list(r)}))
    assert kept[40]["test"] == kept[90]["test"]
    assert kept[40]["validation"] == kept[90]["validation"]
    assert kept[40]["train"] == kept[90]["train"][:40]
    assert [len(rows) for rows in kept[90].values()] == [30, 20, 90]


@pytest.mark.parametrize("parentheses", [False, True])
def test_tsv_files_read_back_as_the_same_data(tmp_path, parentheses):
    sizes = {"train": 30, "validation": 10, "test": 10}
    listops_build.build(tmp_path / "a", 0, sizes, listops.SMOKE, command="make")
    first = store.open(tmp_path / "a")
    listops_build.write_tsv(first, tmp_path / "tsv", parentheses)
    assert ("(" in (tmp_path / "tsv" / "basic_val.tsv").read_text()) == parentheses
    hashes = listops_build.from_tsv(tmp_path / "tsv", tmp_path / "b", command="make")
    assert hashes == first.meta.details["canonical_sha256"]
    assert store.open(tmp_path / "b").meta.sha256 == first.meta.sha256


@pytest.mark.parametrize(
    "line, message",
    [
        ("[MAX 1 2 ]", "line 2: 1 fields"),
        ("[MAX 1 2 ]\t3", "line 2: Target 3, but the expression is 2"),
        ("[MAX 1 2 ]\t12", "line 2: Target '12' is not a digit"),
        ("[MAX 1 two ]\t2", "line 2: unknown token 'two'"),
    ],
)
def test_a_malformed_tsv_row_is_an_error_with_file_and_line(tmp_path, line, message):
    (tmp_path / "x.tsv").write_text(f"Source\tTarget\n{line}\n")
    with pytest.raises(ValueError, match=f"x.tsv {message}"):
        list(listops.read_tsv(tmp_path / "x.tsv"))


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"max_depth": 1}, "max_depth 1"),
        ({"max_args": 1}, "max_args 1"),
        ({"min_length": 0}, "min_length 0"),
        ({"min_length": 50, "max_length": 51}, "no length is both"),
        ({"max_depth": 40}, "max_depth 40"),
    ],
)
def test_parameters_that_make_no_sense_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        listops.Params(**fields)


def test_parameters_that_accept_nothing_are_an_error():
    hopeless = listops.Params(max_depth=3, max_args=4, min_length=100, max_length=200)
    with pytest.raises(ValueError, match="min_length 100, max_length 200, max_depth 3"):
        listops_build.digests(0, {"train": 5000, "validation": 10, "test": 10}, hopeless)
    with pytest.raises(ValueError, match="min_length 100"):
        reference_sample(0, Tag.TEST, 0, hopeless)


def test_a_split_larger_than_the_number_of_expressions_is_an_error():
    few = listops.Params(max_depth=2, max_args=2, min_length=3, max_length=5)  # 4 operators x 100
    with pytest.raises(ValueError, match=r"only \d+ distinct expressions found"):
        listops_build.digests(0, {"train": 400, "validation": 100, "test": 100}, few)


@pytest.mark.slow
def test_statistics_of_20000_official_samples():
    rows = listops_trees.draw(11, Tag.TRAIN, 0, 20_000, listops.OFFICIAL)
    assert rows.lengths.mean() == pytest.approx(1035, abs=12)
    assert 20_000 / rows.trees == pytest.approx(0.0826, abs=0.002)
    assert (rows.lengths.min(), rows.lengths.max()) == (501, pytest.approx(1999, abs=3))
    assert rows.lengths.max() <= 1999
    starts = np.cumsum(rows.lengths) - rows.lengths
    table = np.zeros((17, 10))
    np.add.at(table, (rows.tokens[starts], rows.labels), 1)
    assert table.max(axis=1).sum() / 20_000 == pytest.approx(0.363, abs=0.012)
    assert table.sum(axis=0).max() / 20_000 == pytest.approx(0.170, abs=0.008)


@pytest.mark.slow
def test_the_official_data_set_has_its_pinned_hash():
    hashes = listops_build.digests(0, listops_build.OFFICIAL_SIZES, listops.OFFICIAL)
    assert hashes == {
        "test": "45c6f1a24ae2f0b68f82eec789be423f29fb0b047fbfe15e68ea12189284bfd2",
        "validation": "028eab80f21eb72b38225e9032024d7f7236f8e769ce91618015ac0f00ddd771",
        "train": "80d8b610580c50622a430200d9335378148cf350cf0f8582f4f5b5e27849d4a0",
    }
