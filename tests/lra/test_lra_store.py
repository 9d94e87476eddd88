"""Data sets on disk: order of batches, padding, evaluation batches, damage, interrupted builds, partial copies."""

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lra.data import philox, store, writer

META = {
    "task": "text",
    "source": "test",
    "surrogate": False,
    "label": "Test",
    "seed": 0,
    "generator": "none",
    "vocab": 257,
    "classes": 2,
    "byte_level": True,
    "licence": "none",
    "command": "python scripts/lra_data.py --task=text --jsonl=a,b",
}


@pytest.fixture
def dataset(tmp_path) -> store.Dataset:
    """Ten training rows of 1 ... 10 bytes, three of test."""
    with writer.building(tmp_path / "data", rebuild=False) as folder:
        writer.write_rows(folder / "train", ((bytes(range(65, 65 + n)), n % 2) for n in range(1, 11)))
        writer.write_rows(folder / "test", [(b"", 0), (b"\xff\x00", 1), (b"A\xc3\xa9 ", 0)])
        writer.finish(folder, **META)
    return store.open(tmp_path / "data", "text")


@pytest.fixture
def pairs(tmp_path) -> store.Dataset:
    """Four documents in pairs: train uses 0, 1, 2; test uses 3, 1."""
    with writer.building(tmp_path / "pairs", rebuild=False) as folder:
        with writer.DocumentWriter(folder / "docs") as documents:
            for text in (b"zero", b"one", b"two", b"secret"):
                documents.append(text)
        writer.write_pairs(folder / "train", [(0, 1), (2, 1)], [1, 0])
        writer.write_pairs(folder / "test", [(3, 1)], [1])
        writer.finish(folder, **META | {"task": "retrieval"})
    return store.open(tmp_path / "pairs")


@pytest.mark.parametrize(
    "seed, tag, epoch, expected",
    [
        (0, philox.Tag.ORDER, 0, [9, 5, 1, 2, 3, 7, 8, 6, 0, 4]),
        (0, philox.Tag.ORDER, 1, [5, 0, 3, 1, 2, 8, 9, 7, 4, 6]),
        (1, philox.Tag.ORDER, 0, [7, 5, 0, 6, 2, 9, 3, 1, 4, 8]),
        (0, philox.Tag.SUBSET, 0, [9, 6, 3, 1, 2, 5, 8, 7, 4, 0]),
    ],
)
def test_pinned_orders(seed, tag, epoch, expected):
    assert philox.permutation(seed, tag, epoch, 10).tolist() == expected


@given(seed=st.integers(0, 2**64 - 1), n=st.integers(1, 40), batch=st.integers(1, 50), epochs=st.integers(1, 4))
def test_every_row_occurs_once_per_epoch_whatever_the_batch_size(seed, n, batch, epochs):
    updates = -(-epochs * n // batch)
    rows = np.concatenate([store.rows_at(seed, t, batch, n) for t in range(updates)])
    for epoch in range(epochs):
        assert sorted(rows[epoch * n : (epoch + 1) * n].tolist()) == list(range(n))


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_outside_its_range_is_named(seed):
    with pytest.raises(ValueError, match=r"seed -?\d+ is outside"):
        store.rows_at(seed, 0, 2, 10)


@pytest.mark.parametrize("n, frequency, batch, expected", [(2000, 50, 16, 320), (9999, 50, 8, 256), (100, 50, 16, 100)])
def test_subset_sizes(n, frequency, batch, expected):
    assert store.subset_size(n, frequency, batch) == expected


def test_batches_hold_ids_padded_on_the_right(dataset):
    batch = dataset.split("test").batch(np.arange(3), max_length=3)
    assert batch["inputs"].tolist() == [[33, 0, 0], [256, 1, 0], [66, 196, 170]]
    assert batch["targets"].tolist() == [0, 1, 0]
    assert {value.dtype for value in batch.values()} == {np.dtype(np.int32)}
    assert dataset.meta.counts == {"train": 10, "test": 3}


def test_a_training_batch_is_a_function_of_seed_and_update(dataset):
    train = dataset.split("train")
    stream = list(train.batches(0, 0, 6, 4, 12))
    again = train.batch_at(0, 5, 4, 12)
    np.testing.assert_array_equal(stream[5]["inputs"], again["inputs"])
    lengths = np.concatenate([(batch["inputs"] > 0).sum(axis=1) for batch in stream])
    assert lengths[:10].tolist() == [n + 1 for n in [9, 5, 1, 2, 3, 7, 8, 6, 0, 4]]
    assert lengths[10:20].tolist() == [n + 1 for n in [5, 0, 3, 1, 2, 8, 9, 7, 4, 6]]
    assert train.subset(0, 4).tolist() == [9, 6, 3, 1]


def test_evaluation_counts_every_row_once_and_fills_the_last_batch_with_a_real_row(dataset):
    batches = list(dataset.split("train").evaluation_batches(4, 12))
    assert [batch["inputs"].shape for batch in batches] == [(4, 12)] * 3
    weights = np.concatenate([batch["weights"] for batch in batches])
    lengths = np.concatenate([(batch["inputs"] > 0).sum(axis=1) for batch in batches])
    assert weights.tolist() == [1] * 10 + [0] * 2
    assert lengths.tolist() == [*range(1, 11), 10, 10]
    chosen = list(dataset.split("train").evaluation_batches(2, 12, rows=[7, 3, 5]))
    assert [batch["targets"].tolist() for batch in chosen] == [[0, 0], [0, 0]]
    assert (chosen[1]["inputs"] > 0).sum(axis=1).tolist() == [6, 6]


def test_pairs_share_their_documents(pairs):
    batch = pairs.split("train").batch(np.array([1]), max_length=4)
    assert batch["inputs1"].tolist() == [[b + 1 for b in b"two"] + [0]]
    assert batch["inputs2"].tolist() == [[b + 1 for b in b"one"] + [0]]
    pairs.verify()


def test_a_copy_without_test_holds_nothing_of_it(pairs, tmp_path):
    copy = writer.extract(pairs, tmp_path / "agent", ["train"])
    assert copy.splits == ("train",)
    assert not any(b"secret" in path.read_bytes() for path in (tmp_path / "agent").rglob("*") if path.is_file())
    for name, value in pairs.split("train").batch(np.arange(2), 8).items():
        np.testing.assert_array_equal(copy.split("train").batch(np.arange(2), 8)[name], value)
    assert "jsonl" not in (tmp_path / "agent" / "meta.json").read_text()
    copy.verify()


def test_a_copy_may_withhold_labels_and_change_the_order(dataset, tmp_path):
    order = np.array([2, 0, 1])
    copy = writer.extract(dataset, tmp_path / "hidden", ["test"], targets=False, order={"test": order})
    batch = copy.split("test").batch(np.arange(3), 3)
    assert list(batch) == ["inputs"]
    np.testing.assert_array_equal(batch["inputs"], dataset.split("test").batch(order, 3)["inputs"])
    assert not list((tmp_path / "hidden").rglob("targets.npy"))
    copy.verify()


@pytest.mark.parametrize("file", ["tokens.bin", "targets.npy", "offsets.npy"])
def test_a_changed_byte_is_found_and_the_mending_command_named(dataset, file):
    path = dataset.folder / "train" / file
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ValueError, match=r"train.*(\n.*)*--rebuild"):
        store.open(dataset.folder).verify()


def test_a_truncated_file_is_found_when_it_is_used(dataset):
    (dataset.folder / "train" / "tokens.bin").write_bytes(b"abc")
    with pytest.raises(ValueError, match=r"tokens.bin does not hold the 55 bytes"):
        dataset.split("train")
    (dataset.folder / "test" / "targets.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(ValueError, match=r"targets.npy is missing or damaged"):
        dataset.split("test")


def test_what_is_not_a_data_set_is_an_error_with_the_command(tmp_path, dataset):
    with pytest.raises(
        ValueError, match=r"absent does not exist. Make it with\n *python scripts/lra_data.py --task=listops"
    ):
        store.open(tmp_path / "absent", "listops")
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "tokens.bin").write_bytes(b"abc")
    with pytest.raises(ValueError, match="half holds no complete data set"):
        store.open(tmp_path / "half", "listops")
    assert (tmp_path / "half" / "tokens.bin").read_bytes() == b"abc"
    with pytest.raises(ValueError, match="holds text data, listops needed"):
        store.open(dataset.folder, "listops")
    with pytest.raises(ValueError, match="no split 'validation': it holds train, test"):
        dataset.split("validation")


@pytest.mark.parametrize("content", ["{", "[]", '{"format": "lra-store-0"}', '{"format": "lra-store-1", "x": 1}'])
def test_a_damaged_meta_file_is_an_error(dataset, content):
    (dataset.folder / "meta.json").write_text(content)
    with pytest.raises(ValueError, match=r"meta.json"):
        store.open(dataset.folder)


def test_a_failed_build_leaves_nothing_and_keeps_what_exists(dataset):
    before = (dataset.folder / "meta.json").read_text()
    rows = ((b"x", 1 // n) for n in (1, 0))
    with pytest.raises(ZeroDivisionError), writer.building(dataset.folder, rebuild=True) as folder:
        writer.write_rows(folder / "train", rows)
    assert [path.name for path in dataset.folder.parent.iterdir()] == [dataset.folder.name]
    assert (dataset.folder / "meta.json").read_text() == before


def test_rebuild_replaces_and_leaves_no_remains(dataset):
    with pytest.raises(ValueError, match="--rebuild"), writer.building(dataset.folder, rebuild=False):
        pass
    with writer.building(dataset.folder, rebuild=True) as folder:
        writer.write_rows(folder / "train", [(b"x", 0)])
        writer.finish(folder, **META)
    assert store.open(dataset.folder).meta.counts == {"train": 1}
    assert [path.name for path in dataset.folder.parent.iterdir()] == [dataset.folder.name]


def test_a_folder_with_other_files_is_never_replaced(tmp_path):
    (tmp_path / "thesis.txt").write_text("x")
    with pytest.raises(ValueError, match="holds no data set"), writer.building(tmp_path, rebuild=True):
        pass
    with pytest.raises(ValueError, match="is a file"), writer.building(tmp_path / "thesis.txt", rebuild=True):
        pass
    with pytest.raises(ValueError, match="cannot write"), writer.building(tmp_path / "thesis.txt" / "x", rebuild=True):
        pass
    assert (tmp_path / "thesis.txt").read_text() == "x"


def test_meta_is_plain_json_with_counts_and_hashes(dataset):
    meta = json.loads((dataset.folder / "meta.json").read_text())
    assert meta["counts"] == {"train": 10, "test": 3}
    assert meta["sha256"]["train"] == store.content_sha256(dataset.folder / "train")


def test_importing_the_data_package_loads_no_framework():
    code = (
        "import sys; import lra.diagnostics, lra.data.build; "
        "print(sorted({'jax', 'flax', 'tensorflow', 'torch', 'tensorflow_datasets'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
