"""Module-level numbers of a model.py: what is read, what is refused, and how it is said."""

import contextlib
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lra import globals as lra_globals
from lra import settings
from lra.failures import CandidateFault, Kind


def read(source: str, task: str = "listops", **options):
    return lra_globals.read(source, task, configurable=True, **options)


def problem(source: str, task: str = "listops", **options) -> str:
    with pytest.raises(CandidateFault) as found:
        read(source, task, **options)
    assert found.value.kind is Kind.CONFIG
    return found.value.message


@pytest.mark.parametrize("task", settings.TASKS)
def test_defaults_pass_without_error(task):
    found, warnings = read("", task)
    assert found == settings.defaults(task)
    assert ["warmup" in warning for warning in warnings] == ([True] if task == "retrieval" else [])


def test_table_12_is_there():
    listops, text, retrieval = (settings.defaults(task) for task in ("listops", "text", "retrieval"))
    assert (listops.max_length, text.max_length, retrieval.max_length) == (2000, 1000, 4000)
    assert (listops.num_train_steps, text.num_train_steps, retrieval.num_train_steps) == (5000, 20000, 5000)
    assert (text.num_layers, text.mlp_dim, text.warmup) == (6, 2048, 500)
    assert (retrieval.batch_size, retrieval.num_heads, retrieval.emb_dim, retrieval.warmup) == (8, 4, 128, 8000)
    assert {s.learning_rate for s in (listops, text, retrieval)} == {1e-4}


def test_arithmetic_names_and_aliases():
    found, _ = read("EMB_DIM = 2**8\nQKV_DIM = EMB_DIM\nMLP_DIM: int = 4 * EMB_DIM // 2\nLR = 3 * 1e-4\nSEED = +7")
    assert (found.emb_dim, found.qkv_dim, found.mlp_dim, found.random_seed) == (256, 256, 512, 7)
    assert found.learning_rate == pytest.approx(3e-4)


def test_the_last_assignment_wins_and_integral_floats_are_integers():
    assert read("BATCH_SIZE = 16\nBATCH_SIZE = 3.2e1")[0].batch_size == 32


def test_equal_aliases_agree():
    assert read("SEQ_LEN = MAX_LENGTH = 1024")[0].max_length == 1024


@pytest.mark.parametrize(
    "source, words",
    [
        ('LR = "1e-3"', ["line 1", "str", "LR"]),
        ("LR = 0.5", ["LR = 0.5 is outside [1e-05, 0.01]", "2605.15871", "table 13"]),
        ("SEQ_LEN = 16", ["SEQ_LEN = 16 is outside [32, 8192]"]),
        ("SEQ_LEN = 1000\nMAX_LENGTH = 2000", ["SEQ_LEN = 1000 (line 1)", "MAX_LENGTH = 2000 (line 2)", "contradict"]),
        ("BATCH_SIZE = True", ["bool"]),
        ("NUM_LAYERS = 2.5", ["2.5 is no whole number"]),
        ("EMB_DIM = int(64)", ["line 1", "Call"]),
        ("EMB_DIM = config.dim", ["Attribute"]),
        ("EMB_DIM = WIDTH", ["WIDTH"]),
        ("if True:\n    LR = 1e-3", ["LR is set inside `if`", "top level"]),
        ("def f():\n    LR = 1e-3", ["LR is set inside `def`"]),
        ("for BATCH_SIZE in (1, 2):\n    pass", ["BATCH_SIZE is set inside `for`"]),
        ("LR, SEED = 1e-3, 4", ["LR is set inside", "SEED is set inside"]),
        ("LR = 1e-3\nLR *= 2", ["line 2: LR is set inside `+=`"]),
        ("EMB_DIM = 2**17", ["exponents above 16"]),
        ("EMB_DIM = 10000000 // 100000", ["operands above 1e+06"]),
        ("EMB_DIM = 1 / 0", ["division by zero"]),
        ("BATCH_SIZE = 1e999", ["not finite"]),
        (f"BATCH_SIZE = {10**400}", ["too large"]),
        (f"LR = {' + '.join(['1e-9'] * 1500)}", ["LR", "nested too deeply"]),
        ("WEIGHT_DECAY = 0.5", ["or 0"]),
    ],
)
def test_what_cannot_be_used_is_named_with_line_and_mend(source, words):
    message = problem(source)
    for word in words:
        assert word in message


def test_all_problems_come_in_one_message():
    message = problem("LR = 0.5\nSEQ_LEN = 16\nNUM_HEADS = 'x'")
    assert all(word in message for word in ("LR", "SEQ_LEN", "NUM_HEADS"))


def test_a_local_variable_of_a_known_name_beside_the_global_is_no_problem():
    assert read("LR = 1e-3\ndef f():\n    LR = 5")[0].learning_rate == 1e-3


def test_outside_the_tasks_own_range_is_a_warning_and_strict_makes_it_an_error():
    _, warnings = read("BATCH_SIZE = 128", "text")
    assert any("BATCH_SIZE = 128" in warning and "[1, 64]" in warning for warning in warnings)
    assert "BATCH_SIZE = 128" in problem("BATCH_SIZE = 128", "text", strict=True)


def test_zero_weight_decay_is_inside():
    assert read("WEIGHT_DECAY = 0")[0].weight_decay == 0.0


def test_heads_that_do_not_divide_the_width_are_a_warning():
    assert any("num_heads = 3" in warning for warning in read("NUM_HEADS = 3")[1])


def test_a_task_that_fixes_its_settings_ignores_globals_with_one_warning():
    found, warnings = lra_globals.read("LR = 'x'\nSEQ_LEN = 7", "listops", configurable=False)
    assert found == settings.defaults("listops")
    assert len(warnings) == 1
    assert "LR, SEQ_LEN" in warnings[0]


def test_globals_stand_on_top_of_the_profile():
    found, _ = read("LR = 5e-4", profile="smoke")
    smoke = settings.profile("listops", "smoke").settings
    assert found == smoke.replace(learning_rate=5e-4)


def test_a_file_that_raises_on_import_is_still_readable():
    assert read("LR = 1e-3\nraise SystemExit(3)")[0].learning_rate == 1e-3


@pytest.mark.parametrize("value", ["-" * 100_000 + "1", " + ".join(["1"] * 20_000)])
def test_what_is_too_deep_for_the_parser_is_a_fault_of_the_file(value):
    with pytest.raises(CandidateFault, match="nested too deeply") as found:
        read(f"x = {value}")
    assert found.value.kind is Kind.SYNTAX


def test_syntax_errors_name_line_and_column():
    with pytest.raises(CandidateFault, match="line 2, column") as found:
        read("LR = 1e-3\ndef f(:\n  pass")
    assert found.value.kind is Kind.SYNTAX


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(CandidateFault):
        low, high = settings.BOUNDS["learning_rate"]
        assert low <= read(f"LR = {text}")[0].learning_rate <= high


def test_unknown_tasks_and_profiles_are_named_with_the_nearest():
    with pytest.raises(ValueError, match='did you mean "listops"'):
        settings.defaults("listop")
    with pytest.raises(ValueError, match="valid: paper, smoke"):
        settings.profile("text", "huge")


def test_batch_and_devices_are_held_against_each_other():
    found = settings.check(settings.defaults("listops"), "listops", rows=10, devices=3)
    assert any("exceeds the 10 rows" in error for error in found.errors)
    assert any("3 devices" in error for error in found.errors)


def test_task_table_agrees_with_the_data():
    from lra.data import listops, needle, recall

    expected = {
        "listops": (listops.VOCAB, listops.CLASSES),
        "recall": (recall.VOCAB, recall.CLASSES),
        "needle": (needle.VOCAB, needle.CLASSES),
        "text": (257, 2),
        "retrieval": (257, 2),
    }
    assert {task: (info.vocab, info.classes) for task, info in settings.TASKS.items()} == expected


def test_reading_a_candidate_imports_no_array_library():
    code = (
        "import sys, lra.globals as g, lra.contract as c, lra.failures\n"
        "source = 'class CustomEncoder: pass\\nLR = 1e-3\\nraise SystemExit'\n"
        "c.check_source(source, 'text'); g.read(source, 'text', configurable=True)\n"
        "sys.exit(any(name in sys.modules for name in ('jax', 'numpy', 'flax')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
