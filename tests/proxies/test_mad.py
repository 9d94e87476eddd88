"""MAD rows: published digests, a literal reading of the generators, and structural properties of every task."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aira_jax.proxies import fidelity, mad

SMALL = {
    "in-context-recall": {"vocab": 12, "seq_len": 24},
    "fuzzy-in-context-recall": {"vocab": 11, "seq_len": 40, "key_size": 2, "value_size": 3},
    "noisy-in-context-recall": {"vocab": 20, "seq_len": 30, "noise_vocab": 6, "frac_noise": 0.5},
    "memorization": {"vocab": 21, "seq_len": 10},
    "compression": {"vocab": 7, "seq_len": 9},
    "selective-copying": {"vocab": 9, "seq_len": 40, "n_copy": 6},
}
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def published():
    return {task: mad.make(task) for task in mad.TASKS}


@pytest.mark.parametrize("task", ["in-context-recall", "fuzzy-in-context-recall", "memorization", "compression"])
def test_arrays_have_the_published_digests(published, task):
    digests = [d[:16] for d in mad.digests(published[task])]
    assert (
        digests
        == {
            "in-context-recall": ["8e8c84701b431282", "2b099566781e9ea6", "467f2d3fef92c8b7", "db72e981eded90ac"],
            "fuzzy-in-context-recall": ["e3db093b758f7a75", "01bdd69a87d164a1", "e677007b41b0a378", "b85b410e2ec07919"],
            "memorization": ["1f2e8edc9c20d384", "2dbeeb4ea8cd9ce6", "cd0cf7698ab701a5", "f1de5c63c81e8e61"],
            "compression": ["30a2d2c4d3d40873", "30a2d2c4d3d40873", "6dfc01da24e0a606", "6dfc01da24e0a606"],
        }[task]
    )


@pytest.mark.parametrize(
    ("task", "length", "scored", "majority"),
    [
        ("in-context-recall", 127, 56.00, 0.132),
        ("fuzzy-in-context-recall", 128, 4.43, 0.136),
        ("noisy-in-context-recall", 127, 43.59, 0.127),
        ("memorization", 32, 16, 0.0099),
        ("compression", 32, 32, 0.066),
        ("selective-copying", 256, 16, 0.076),
    ],
)
def test_shapes_scored_targets_and_majority_accuracy(published, task, length, scored, majority):
    data = published[task]
    assert data.train.x.shape == data.train.y.shape == data.train.probe.shape == (800, length)
    assert data.test.x.shape == data.test.y.shape == (1280, length)
    targets = data.test.y[data.test.y != mad.IGNORED]
    assert len(targets) / 1280 == pytest.approx(scored, abs=0.005)
    assert np.bincount(targets).max() / len(targets) == pytest.approx(majority, abs=0.0005)
    assert data.train.x.min() >= 0
    assert max(data.train.x.max(), targets.max()) < data.vocab


@pytest.mark.parametrize(
    ("task", "row"),
    [
        ("in-context-recall", [1, 14, 2, 9, 6, 13, 5, 15, 3, 14, 2, 9]),
        ("fuzzy-in-context-recall", [15, 15, 15, 15, 15, 15, 15, 2, 4, 8, 1, 3]),
        ("memorization", [115, 255, 4, 255, 77, 255, 19, 255]),
        ("compression", [10, 3, 11, 4, 3, 11, 9, 10, 14, 5, 12, 4]),
    ],
)
def test_first_train_row(published, task, row):
    assert published[task].train.x[0, : len(row)].tolist() == row


@pytest.mark.parametrize("task", mad.TASKS)
def test_no_test_row_occurs_in_train(published, task):
    data = published[task]
    assert not {row.tobytes() for row in data.train.x} & {row.tobytes() for row in data.test.x}


def literal(task, n_train, n_test, seed, fields):
    """The rows as published, drawn with one `Generator.choice` per pick and shuffled lists: slow and obvious."""
    g, legacy, shuffler = np.random.default_rng(seed), np.random.RandomState(seed), np.random.default_rng(seed)
    vocab, length = fields["vocab"], fields["seq_len"]
    mapping = {}
    if task == "memorization":
        keys = [(k,) for k in range((vocab - 1) // 2)]
        values = list(range((vocab - 1) // 2, vocab - 1))
        shuffler.shuffle(keys)
        shuffler.shuffle(values)
        mapping = dict(zip(keys, values, strict=False))

    def pick(items):
        chosen = g.choice(items)
        return tuple(int(c) for c in chosen) if np.ndim(chosen) else int(chosen)

    def recall():
        noise, frac = fields.get("noise_vocab", 0), fields.get("frac_noise", 0)
        symbols = vocab - noise
        x, y, shown = [], [], {}
        keep = pick(length // 2)
        for i in range(length // 2 - 1):
            if frac > 0 and i != keep and g.random() < frac:
                x += [int(t) for t in g.choice(np.arange(symbols, vocab), size=2)]
                y += [-100, -100]
                continue
            k = pick(np.arange(symbols // 2))
            seen = k in shown
            if not seen:
                shown[k] = pick(np.arange(symbols // 2, symbols))
            x += [k, shown[k]]
            y += [-100, shown[k] if seen else -100]
        k = pick(list(shown))
        return [*x, k, shown[k]], [*y, -100, shown[k]]

    def fuzzy(train):
        ks, vs, symbols = fields["key_size"], fields["value_size"], vocab - 1

        def motifs(tokens, size):
            items = list(itertools.permutations(tokens, size))
            g.shuffle(items)
            return items

        keys = {s: motifs(range(symbols // 2), s) for s in (range(1, ks + 1) if train else [ks])}
        values = {s: motifs(range(symbols // 2, symbols), s) for s in range(1, vs + 1)}
        a0 = pick(list(keys)) if train else ks
        b0 = pick(list(values))
        kp, vp = pick(keys[a0]), pick(values[b0])
        probe = a0 + b0
        at = pick(length - 2 * probe)
        x, y, shown, known, added = [], [], [], {}, False
        while len(x) < length - probe - (ks + vs):
            a = pick(list(keys)) if train else ks
            b = pick(list(values))
            if len(x) >= at and not added:
                x += kp + vp
                y += probe * [-100]
                known[kp] = vp
                shown.append(kp)
                added = True
                continue
            k = pick(keys[a])
            if k == kp:
                v, added = vp, True
            elif k in known:
                v = known[k]
            else:
                v = known[k] = pick(values[b])
            x += k + v
            y += len(k) * [-100] + (list(v) if k in shown else len(v) * [-100])
            shown.append(k)
        x += kp + vp
        y += len(kp) * [-100] + list(vp)
        missing = length + 1 - len(x)
        return missing * [vocab - 1] + x, missing * [-100] + y

    def memorization():
        pick(length // 2)
        keys = [pick(list(mapping)) for _ in range(length // 2)]
        return [t for k in keys for t in (k[0], vocab - 1)], [t for k in keys for t in (-100, mapping[k])]

    def compression():
        x = [int(t) for t in g.choice(np.arange(vocab - 1), size=length - 1)] + [vocab - 1]
        return x, x

    def selective():
        n = fields["n_copy"]
        content = g.choice(np.arange(vocab - 2), size=n)
        at = legacy.randint(0, n, length - 2 * n - 1)
        x = np.insert(content, at, vocab - 2).tolist() + [vocab - 1] + n * [vocab - 2]
        return x, (length - n) * [-100] + content.tolist()

    draw = {"memorization": memorization, "compression": compression, "selective-copying": selective}.get(task, recall)
    rows = {}
    for split, n in (("train", n_train), ("test", n_test)):
        drawn = [fuzzy(split == "train") if task.startswith("fuzzy") else draw() for _ in range(n)]
        full, masked = (np.array(part) for part in zip(*drawn, strict=True))
        if task.endswith("recall"):
            rows[split] = (full[:, :-1], full[:, 1:] if split == "train" else masked[:, 1:], masked[:, 1:])
        else:
            rows[split] = (full, masked, masked)
    return rows


@pytest.mark.parametrize("fields", [{}, SMALL], ids=["published", "small"])
@pytest.mark.parametrize("task", mad.TASKS)
def test_rows_equal_the_literal_generator(task, fields):
    fields = fields.get(task, {})
    data = mad.make(task, 12, 9, seed=5, **fields)
    expected = literal(task, 12, 9, 5, mad.resolve(task, fields))
    for split in mad.Split:
        rows = getattr(data, split)
        for found, wanted in zip((rows.x, rows.y, rows.probe), expected[split], strict=True):
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("task", mad.TASKS)
@pytest.mark.parametrize("preset", fidelity.PRESETS)
def test_every_preset_can_be_generated(task, preset):
    preset = fidelity.get(preset)
    data = mad.make(task, 3, 2, **preset.fields(task))
    shift = task.endswith("recall") and not task.startswith("fuzzy")
    assert data.train.x.shape == (3, preset.seq_len[task] - shift)


VARIANTS = [
    *(("in-context-recall", field, v) for field, v in [("vocab", 32), ("vocab", 128), ("seq_len", 1024)]),
    *(("fuzzy-in-context-recall", field, v) for field, v in [("vocab", 32), ("vocab", 64), ("seq_len", 1024)]),
    *(("noisy-in-context-recall", field, v) for field, v in [("vocab", 144), ("seq_len", 512), ("frac_noise", 0.8)]),
    *(("memorization", "vocab", v) for v in (512, 8192)),
    *(("compression", field, v) for field, v in [("vocab", 128), ("seq_len", 256)]),
    *(("selective-copying", field, v) for field, v in [("vocab", 128), ("seq_len", 1024), ("n_copy", 96)]),
]


@pytest.mark.parametrize(("task", "field", "value"), VARIANTS)
def test_difficulty_variants_can_be_generated(task, field, value):
    data = mad.make(task, 2, 2, **{field: value})
    length = mad.resolve(task, {field: value})["seq_len"]
    assert data.train.x.shape[1] in (length, length - 1)
    assert data.test.x.max() < data.vocab == mad.resolve(task, {field: value})["vocab"]
    assert (data.test.y != mad.IGNORED).any(axis=1).all()


@pytest.mark.parametrize("task", mad.TASKS)
def test_train_rows_do_not_depend_on_the_number_of_test_rows(task):
    alone, both = mad.make(task, 20, 0, seed=3, **SMALL[task]), mad.make(task, 20, 30, seed=3, **SMALL[task])
    np.testing.assert_array_equal(alone.train.x, both.train.x)
    np.testing.assert_array_equal(alone.train.y, both.train.y)


@pytest.mark.parametrize("task", mad.TASKS)
def test_test_rows_alone_continue_the_train_stream(task):
    both = mad.make(task, 20, 30, seed=3, **SMALL[task])
    alone = mad.generate(task, "test", 30, 3, n_train=20, **SMALL[task])
    np.testing.assert_array_equal(alone.x, both.test.x)
    np.testing.assert_array_equal(mad.generate(task, "train", 20, 3, **SMALL[task]).x, both.train.x)


@pytest.mark.parametrize("task", mad.TASKS)
def test_seeds_give_different_rows(task):
    assert not np.array_equal(mad.make(task, 5, 5, 1).test.x, mad.make(task, 5, 5, 2).test.x)


@pytest.mark.parametrize("task", mad.TASKS)
def test_seeds_may_exceed_32_bits(task):
    low, high = 7, 7 + 2**32
    rows = [mad.make(task, 5, 5, seed).test.x for seed in (low, high, high + 2**64)]
    assert len({x.tobytes() for x in rows}) == 3


@pytest.mark.parametrize("task", mad.TASKS)
def test_global_numpy_state_is_neither_read_nor_written(task):
    np.random.seed(1)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first = mad.make(task, 5, 5, **SMALL[task])
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    np.random.seed(2)  # noqa: NPY002
    assert mad.digests(mad.make(task, 5, 5, **SMALL[task])) == mad.digests(first)


@pytest.mark.parametrize("task", ["in-context-recall", "noisy-in-context-recall"])
def test_recall_probes_are_exactly_the_values_of_keys_shown_before(published, task):
    symbols = 16
    for split in mad.Split:
        rows = getattr(published[task], split)
        for x, probe in zip(rows.x[:50].tolist(), rows.probe[:50].tolist(), strict=True):
            shown = {}
            for position in range(0, 127, 2):
                key = x[position]
                known = key < symbols and key in shown
                last = position == 126
                assert probe[position] == (shown[key] if known else mad.IGNORED)
                assert known or not last
                if not last:
                    assert probe[position + 1] == mad.IGNORED
                    shown[key] = x[position + 1]


def test_recall_trains_on_every_next_token(published):
    rows = published["noisy-in-context-recall"].train
    np.testing.assert_array_equal(rows.y[:, :-1], rows.x[:, 1:])


def test_noise_takes_the_stated_share_of_pairs(published):
    x = published["noisy-in-context-recall"].test.x
    noisy = x[:, 0:126:2] >= 16
    assert (noisy == (x[:, 1:126:2] >= 16)).all()
    assert noisy.mean() == pytest.approx(0.2 * 62 / 63, abs=0.005)
    assert not noisy.all(axis=1).any()


def test_fuzzy_probe_was_shown_in_about_97_percent_of_test_rows(published):
    rows = published["fuzzy-in-context-recall"].test
    shown = []
    for x, probe in zip(rows.x.tolist(), rows.probe.tolist(), strict=True):
        value_length = next(n for n in (1, 2, 3) if probe[-n - 1] == mad.IGNORED)
        text = x[: 128 - value_length + 1]
        key = text[-3:]
        shown.append(any(text[i : i + 3] == key for i in range(len(text) - 3)))
    assert np.mean(shown) == pytest.approx(0.97, abs=0.02)


def test_fuzzy_rows_are_padded_on_the_left_only(published):
    x = published["fuzzy-in-context-recall"].train.x
    padding = (x == 15).sum(axis=1)
    assert all((row[:n] == 15).all() for row, n in zip(x, padding, strict=True))
    assert padding.min() >= 1


def test_memorization_maps_each_key_to_one_value(published):
    data = published["memorization"]
    pairs = set()
    for rows in (data.train, data.test):
        assert (rows.x[:, 1::2] == 255).all()
        assert (rows.probe[:, ::2] == mad.IGNORED).all()
        pairs |= set(zip(rows.x[:, ::2].ravel().tolist(), rows.probe[:, 1::2].ravel().tolist(), strict=True))
    keys, values = zip(*pairs, strict=True)
    assert len(keys) == len(set(keys)) == len(set(values)) == 127
    assert max(keys) == 126
    assert min(values) >= 127


def test_compression_reproduces_every_token_up_to_the_marker(published):
    rows = published["compression"].test
    np.testing.assert_array_equal(rows.x, rows.y)
    assert (rows.x[:, -1] == 15).all()
    assert rows.x[:, :-1].max() == 14


def test_selective_copying_marks_the_end_of_the_content(published):
    for rows in (published["selective-copying"].train, published["selective-copying"].test):
        assert (rows.x[:, 239] == 15).all()
        assert (rows.x[:, 238] < 14).all()
        assert (rows.x[:, 240:] == 14).all()
        assert (rows.y[:, :240] == mad.IGNORED).all()
        for x, y in zip(rows.x[:100], rows.y[:100], strict=True):
            np.testing.assert_array_equal(x[:239][x[:239] < 14], y[240:])


def test_selective_copying_places_blanks_with_a_stream_of_its_own():
    """The blanks come from a legacy generator seeded once: they do not restart with the test rows."""
    data = mad.make("selective-copying", 30, 30)
    blanks = (np.concatenate([data.train.x, data.test.x]) == 14)[:, :240]
    assert len({row.tobytes() for row in blanks}) == 60


@pytest.mark.parametrize("n", [800, 10, 7])
def test_validation_split_is_70_to_30_of_the_seeded_permutation(n):
    rows = mad.make("noisy-in-context-recall", n, 0).train
    fit, held = mad.split_validation(rows)
    order = np.random.default_rng(0).permutation(n)
    assert len(fit) == 7 * n // 10
    np.testing.assert_array_equal(np.concatenate([fit.x, held.x]), rows.x[order])
    np.testing.assert_array_equal(fit.y, rows.y[order[: len(fit)]])
    np.testing.assert_array_equal(held.y, rows.probe[order[len(fit) :]])


def test_cached_rows_equal_drawn_ones_and_are_really_read(tmp_path, monkeypatch):
    first = mad.make("compression", 6, 4, cache_dir=tmp_path, seq_len=8)
    monkeypatch.setattr(mad, "_draw", None)
    second = mad.make("compression", 6, 4, cache_dir=tmp_path, seq_len=8)
    assert mad.digests(first) == mad.digests(second)
    assert second.train.x.dtype == np.int16
    assert [p.suffix for p in (tmp_path / "mad").iterdir()] == [".npz"]


@pytest.mark.parametrize("change", [{"seed": 2}, {"n_test": 5}, {"n_train": 7}, {"vocab": 17}])
def test_the_cache_key_holds_all_that_the_rows_depend_on(tmp_path, change):
    arguments = {"n_train": 6, "n_test": 4, "seed": 1}
    mad.make("compression", cache_dir=tmp_path, **arguments)
    mad.make("compression", cache_dir=tmp_path, **(arguments | change))
    assert len(list((tmp_path / "mad").iterdir())) == 2


@pytest.mark.parametrize("content", [b"", b"no zip file at all", None])
def test_a_damaged_cache_file_is_replaced(tmp_path, content):
    first = mad.make("compression", 6, 4, cache_dir=tmp_path)
    (path,) = (tmp_path / "mad").iterdir()
    path.write_bytes(path.read_bytes()[:-100] if content is None else content)
    assert mad.digests(mad.make("compression", 6, 4, cache_dir=tmp_path)) == mad.digests(first)
    with np.load(path) as arrays:
        assert len(arrays["train_x"]) == 6


@pytest.mark.parametrize("constant", ["_STREAM_DIGEST", "_KNOWN_DIGESTS"])
def test_other_random_streams_are_refused_with_both_numpy_versions(monkeypatch, constant):
    wrong = {"compression": ("0", "0", "0", "0")} if constant == "_KNOWN_DIGESTS" else "0"
    monkeypatch.setattr(mad, constant, wrong)
    mad._check_streams.cache_clear()
    try:
        with pytest.raises(mad.NumpyStreamError) as caught:
            mad.make("compression")
    finally:
        mad._check_streams.cache_clear()
    assert np.__version__ in str(caught.value)
    assert mad.TESTED_NUMPY in str(caught.value)


@pytest.mark.parametrize(
    ("task", "arguments", "message"),
    [
        ("in-context-recal", {}, 'did you mean "in-context-recall"'),
        ("compression", {"vocabulary": 3}, "unknown field of compression 'vocabulary'.*did you mean .vocab"),
        ("compression", {"vocab": 1}, "vocab must be at least 2, got 1"),
        ("compression", {"vocab": 40000}, "at most 32767, got 40000"),
        ("compression", {"vocab": "16"}, "vocab must be an integer, got '16'"),
        ("compression", {"seq_len": 1}, "seq_len must be at least 2"),
        ("compression", {"seed": -1}, "seed must not be negative"),
        ("compression", {"n_train": 0}, "at least 1 train"),
        ("in-context-recall", {"seq_len": 31}, "even and at least 4, got 31"),
        ("noisy-in-context-recall", {"noise_vocab": 31}, "exceed noise_vocab by at least 2, got 32 and 31"),
        ("noisy-in-context-recall", {"frac_noise": 1.0}, r"frac_noise must be in \[0, 1\), got 1.0"),
        ("noisy-in-context-recall", {"noise_vocab": 0}, "noise_vocab must be at least 1"),
        ("noisy-in-context-recall", {"frac_noise": 0.99, "seq_len": 4}, "a row of noise only"),
        ("fuzzy-in-context-recall", {"seq_len": 12}, "at least 13"),
        ("fuzzy-in-context-recall", {"vocab": 6}, "key_size must be 1 to 2 for vocab 6, got 3"),
        ("memorization", {"vocab": 2}, "vocab must be at least 3"),
        ("selective-copying", {"n_copy": 128}, "seq_len must exceed 2 n_copy = 256, got 256"),
    ],
)
def test_bad_arguments_are_named(task, arguments, message):
    with pytest.raises(ValueError, match=message):
        mad.make(task, **arguments)


def run_script(*arguments):
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, str(REPOSITORY / "scripts" / "mad.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_script_prints_four_digest_lines(published):
    result = run_script("--task=memorization", "--seed=12345", "--train=800", "--test=1280", "--digest")
    assert result.returncode == 0
    names = ("X train", "Y train", "X test", "Y test")
    expected = [f"{n} {d}" for n, d in zip(names, mad.digests(published["memorization"]), strict=True)]
    assert result.stdout.splitlines() == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task=memorisation"], 'did you mean "memorization"'),
        (["--task=memorization", "--trian=3"], "trian"),
        ([], "--task"),
        (["--task=memorization", "--field=vocab=many"], "--field=vocab=many"),
        (["--task=memorization", "stray"], "unexpected argument 'stray'"),
    ],
)
def test_script_ends_bad_input_with_exit_2_and_no_traceback(arguments, message):
    result = run_script(*arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_script_names_an_output_that_cannot_be_written(tmp_path):
    (tmp_path / "taken").mkdir()
    result = run_script("--task=compression", "--train=3", "--test=2", f"--out={tmp_path / 'taken'}")
    assert result.returncode == 2
    assert result.stderr == f"error: --out={tmp_path / 'taken'}: Is a directory\n"
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_script_writes_all_arrays(tmp_path):
    path = tmp_path / "new" / "rows.npz"
    result = run_script("--task=compression", "--train=3", "--test=2", "--field=seq_len=8", f"--out={path}")
    assert result.returncode == 0
    expected = mad.make("compression", 3, 2, seq_len=8)
    with np.load(path) as arrays:
        np.testing.assert_array_equal(arrays["train_probe"], expected.train.probe)
        np.testing.assert_array_equal(arrays["test_x"], expected.test.x)
        assert len(arrays.files) == 6
