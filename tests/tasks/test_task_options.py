"""The space of layers with options: what a file may hold, and that every move stays valid."""

import json
import subprocess
import sys

import fake_training
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aira_jax.controls import methods
from aira_jax.controls.trials import Method, Options, Trial
from aira_jax.patterns import options as layer_options
from aira_jax.patterns.options import MAX_KINDS, OptionPattern
from aira_jax.proxies import evaluator
from aira_jax.tasks import loader, mounts
from aira_jax.tasks.compose import scripts
from aira_jax.tasks.compose.options import OptionSpace
from aira_jax.tasks.evaluation import SubmissionError

NAMES = {
    "NeuralArchitectureSearchMAD2PrimitivesOptionsAccuracy": ("A", "M"),
    "NeuralArchitectureSearchMAD3PrimitivesMbOptionsAccuracy": ("A", "M", "Mb"),
}
TWO = OptionSpace(primitives=("A", "M"), example="8(A[head=16]-M)")
THREE = OptionSpace(primitives=("A", "M", "Mb"), example="8(A[head=16]-M)")
spaces, seeds = st.sampled_from([TWO, THREE]), st.integers(0, 2**32 - 1)


def test_a_file_may_hold_options_quoted_where_they_have_commas():
    wanted = layer_options.parse("8(A[head=16;norm=rms]-M)")
    assert TWO.parse(b"architecture\n8(A[head=16;norm=rms]-M)\n") == wanted
    assert TWO.parse(b'architecture\n"8(A[norm=rms,head=16]-M)"\n') == wanted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("8(A[head=6]-M)", "row 1, column architecture: head=6 is not offered"),
        ("8(A-M[ratio=8])", "more than without options"),
        ("A[head=4]-A[head=16]-A[kv=2]-M[norm=rms]-M[norm=none]-11A", "6 kinds of layers"),
        ("8(A-Mb[state=8])", "primitive Mb does not belong to this space"),
        ("7(A-M[norm=rms])", "16 layers required, got 14"),
        ("8(A[head=16,norm=rms]-M)", "2 columns, one required; quote a pattern that holds commas"),
    ],
)
def test_bad_files_are_refused_with_a_valid_one(text, message):
    with pytest.raises(SubmissionError) as caught:
        TWO.parse(f"architecture\n{text}\n".encode())
    assert message in str(caught.value)
    assert TWO.example in str(caught.value)


@settings(max_examples=25)
@given(spaces, seeds)
def test_moves_stay_inside_the_space_and_depend_on_the_generator_only(space, seed):
    rng = np.random.default_rng(seed)
    a, b = space.sample(rng), space.sample(rng)
    child, cross = space.mutate(a, rng), space.crossover(a, b, rng)
    assert space.canonical(child) not in (None, space.canonical(a))
    assert space.canonical(cross) not in (None, space.canonical(a))
    again = np.random.default_rng(seed)
    assert [space.sample(again), space.sample(again)] == [a, b]


def test_moves_reach_every_option():
    rng, region = np.random.default_rng(0), TWO.region()
    pattern, seen = region.sample(rng), set()
    for _ in range(800):
        pattern = region.mutate(pattern, rng)
        seen.update(pattern.layers)
    chosen = {(read.primitive, *item) for read in map(layer_options.read, seen) for item in read.chosen.items()}
    possible = {
        (primitive, option.key, value)
        for primitive in TWO.primitives
        for option in layer_options.options_of(primitive)
        for value in option.values[1:]
    }
    assert chosen == possible


def test_a_pattern_that_is_too_large_loses_options_until_it_fits():
    region = TWO.region()
    child = region.cross(
        OptionPattern(("M[ratio=8]",) * 8 + ("M[ratio=1]",) * 8), OptionPattern(("M",) * 16), np.random.default_rng(0)
    )
    assert len(set(child.layers)) <= MAX_KINDS
    assert child.parameters() <= child.without_options().parameters()


@pytest.mark.parametrize("method", [Method.RANDOM, Method.MUTATE])
def test_controls_without_a_model_search_options(method):
    rng, region, trials = np.random.default_rng(0), TWO.region(), []
    for quality in range(14):
        proposal = methods.propose(method, region, trials, rng=rng)
        assert proposal.pattern in region
        assert proposal.pattern not in [trial.pattern for trial in trials]
        trials.append(Trial(proposal.pattern, float(quality)))


@pytest.mark.parametrize("method", [Method.BO, Method.EXHAUSTIVE, Method.END_INCREMENTAL])
def test_controls_that_know_primitives_only_are_refused(method):
    with pytest.raises(ValueError, match="searches plain patterns"):
        TWO.check_control(method, layers=0, options=Options())


def test_other_lengths_and_enumeration_are_refused():
    with pytest.raises(ValueError, match="have 16 layers"):
        TWO.check_control(Method.RANDOM, layers=6, options=Options())
    with pytest.raises(ValueError, match="cannot be enumerated"):
        list(TWO.region())


def test_the_cache_tells_options_apart_and_plain_patterns_not(tmp_path, monkeypatch):
    trained = fake_training.install(monkeypatch)
    for text in ("8(A-M)", "8(A[head=16]-M)", "8(A[head=8]-M)", "8(A[head=4]-M)", "8(A[head=16]-M)"):
        evaluator.evaluate(layer_options.parse(text), preset="smoke", tasks=["memorization"], cache_dir=tmp_path)
    evaluator.evaluate("8(A-M)", preset="smoke", tasks=["memorization"], cache_dir=tmp_path)
    assert [layers for _, layers in trained] == [("A", "M") * 8, ("A[head=16]", "M") * 8, ("A[head=4]", "M") * 8]


def test_a_result_tells_the_parameters_of_the_layers_and_how_many_are_allowed(tmp_path, monkeypatch):
    fake_training.install(monkeypatch)
    monkeypatch.setenv("AIRA_JAX_CACHE", str(tmp_path))
    (tmp_path / "submission.csv").write_text("architecture\n8(A[kv=2;norm=rms]-M)\n")
    flags = [f"--submission-file={tmp_path / 'submission.csv'}", f"--data-dir={tmp_path / 'absent'}", "--profile=smoke"]
    folder = loader.load("NeuralArchitectureSearchMAD2PrimitivesOptionsAccuracy").folder
    assert scripts.evaluate(folder, [*flags, f"--result-file={tmp_path / 'result.json'}"]) == 0
    extra = json.loads((tmp_path / "result.json").read_text())["extra"]
    allowed = 8 * (66_048 + 131_072 + 2 * 256)
    assert extra["layer_parameters_allowed"] == allowed
    assert extra["layer_parameters"] == allowed - 8 * (128 * 129 + 128)


@pytest.mark.parametrize(("name", "primitives"), NAMES.items())
def test_the_tasks_describe_what_may_be_chosen(name, primitives):
    task = loader.load(name)
    space, text = task.space.SPACE, task.starter["submission.csv"]
    assert isinstance(space, OptionSpace)
    assert space.primitives == primitives
    assert task.canonical({"submission.csv": text.replace("A", "A[head=8]")}) == task.canonical(task.starter)
    assert space.parse(f"architecture\n{space.example}\n".encode())
    for primitive in primitives:
        for option in layer_options.options_of(primitive):
            assert f"| `{option.key}` | {', '.join(map(str, option.values))} |" in task.description
            assert f"{option.key}={'|'.join(map(str, sorted(option.values, key=_order)))}" in task.interface
            assert f"{option.key}={option.default}" in task.interface.partition("Without options:")[2]


def _order(value):
    return value if isinstance(value, int) else 0


@pytest.mark.slow
def test_one_pattern_with_options_is_trained_by_hand(tmp_path):
    def run(pattern):
        script = loader.FOLDER.parent.parent / "scripts" / "evaluate_pattern.py"
        flags = [f"--pattern={pattern}", "--profile=smoke", "--tasks=memorization", f"--cache_dir={tmp_path}"]
        env = mounts.script_environment()
        return subprocess.run([sys.executable, script, *flags], env=env, capture_output=True, text=True, check=False)

    done = run("8(A[head=16]-M[ratio=2;norm=none])")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    layers = layer_options.parse("8(A-M[ratio=2;norm=none])").parameters(32)
    vocab, width = 256, 32
    assert result["parameters"]["memorization"] == layers + 2 * vocab * width + vocab + 2 * width
    wrong = run("8(A[heed=16]-M)")
    assert wrong.returncode == 2
    assert "unknown option 'heed' (position 4)" in wrong.stderr
