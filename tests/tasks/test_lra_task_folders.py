"""The folders of the Long Range Arena tasks, recall and needle: names, constants, texts, examples."""

import dataclasses

import pytest
import yaml

from aira_jax.tasks import loader
from aira_jax.tasks.evaluation import SubmissionError
from aira_jax.tasks.lra import preparing, submission
from lra import designs, settings

PAPER = {
    "LongContextReasoningLRATextAccuracy": ("text", 0.9053, 0.5),
    "LongContextReasoningLRAListOpsAccuracy": ("listops", 0.6379, 0.1),
    "LongContextReasoningLRARetrievalAccuracy": ("retrieval", 0.8176, 0.5),
    "LongContextReasoningLRATextConfigurableAccuracy": ("text", 0.9053, 0.5),
    "LongContextReasoningLRAListOpsConfigurableAccuracy": ("listops", 0.6379, 0.1),
    "LongContextReasoningLRARetrievalConfigurableAccuracy": ("retrieval", 0.8176, 0.5),
}
OURS = {
    "LongContextReasoningRecallAccuracy": ("recall", None, 1 / 64),
    "LongContextReasoningNeedleAccuracy": ("needle", None, 0.1),
}
LITERATURE = {"text": 0.9043, "listops": 0.6314, "retrieval": 0.9140}
GOLD = {
    "LongContextReasoningLRATextAccuracy": "text_xcta_swiglu",
    "LongContextReasoningLRAListOpsAccuracy": "listops_bi_svr",
    "LongContextReasoningLRARetrievalAccuracy": "retrieval_linattn_bilinear",
    "LongContextReasoningLRATextConfigurableAccuracy": "text_bi_ssm",
    "LongContextReasoningLRAListOpsConfigurableAccuracy": "listops_dwconv_bilinattn",
    "LongContextReasoningLRARetrievalConfigurableAccuracy": "retrieval_hybrid_local_global",
    "LongContextReasoningRecallAccuracy": "text_bi_ssm",
    "LongContextReasoningNeedleAccuracy": "listops_dwconv_bilinattn",
}
ALL = {**PAPER, **OURS}


def posed(name):
    """The preparing.Task that the scripts of a folder name."""
    return preparing.Task(ALL[name][0], loader.load(name).folder, configurable="Configurable" in name)


def test_the_tasks_are_the_papers_six_and_two_of_our_own():
    assert {name for name in loader.names() if name.startswith("LongContextReasoning")} == set(ALL)


@pytest.mark.parametrize("name", ALL)
def test_metadata_hold_the_constants_of_normalised_scores(name):
    lra, sota, worst = ALL[name]
    task = loader.load(name)
    assert (task.metric, task.lower_is_better, task.optimum) == ("Accuracy", False, 1.0)
    assert (task.sota, task.worst, task.ns_epsilon) == (sota, worst, 1e-3)
    assert (task.artifact, task.export_globs, task.executes_candidate) == ("model.py", ("model.py",), True)
    assert tuple(task.profiles) == posed(name).profiles
    if lra in LITERATURE:
        metadata = yaml.safe_load((task.folder / "metadata.yaml").read_text())
        assert metadata["logging_info"]["sota"][1]["sota_score"] == LITERATURE[lra]


@pytest.mark.parametrize("name", ALL)
def test_profiles_in_metadata_are_those_of_the_training_package(name):
    lra = ALL[name][0]
    for profile, told in loader.load(name).profiles.items():
        found = settings.profile(lra, profile).settings
        keys = {
            "length": "max_length",
            "updates": "num_train_steps",
            "batch": "batch_size",
            "layers": "num_layers",
            "width": "emb_dim",
        }
        assert told == {key: getattr(found, setting) for key, setting in keys.items()}


@pytest.mark.parametrize("name", ALL)
def test_the_description_tells_every_default_and_where_it_may_be_chosen_every_bound(name):
    lra, text = ALL[name][0], loader.load(name).description
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| `")]
    table = {row[0].split("`")[1]: row[1:] for row in rows}
    smoke = settings.profile(lra, "smoke").settings
    for key, default in dataclasses.asdict(settings.defaults(lra)).items():
        configurable = "Configurable" in name
        row = table[settings.NAMES[key][0] if configurable else key]
        assert (float(row[0]), float(row[1])) == (default, getattr(smoke, key))
        if configurable:
            low, high = row[2].removesuffix(", or 0").split(" to ")
            assert (float(low), float(high)) == settings.BOUNDS[key]
            assert all(f"`{alias}`" in text for alias in settings.NAMES[key])


@pytest.mark.parametrize("name", ALL)
def test_the_example_in_the_description_is_valid(name, tmp_path):
    text = loader.load(name).description
    path = tmp_path / "model.py"
    path.write_text(text.split("```python\n")[1].split("```")[0])
    assert submission.check(posed(name), path, "paper").settings.max_length


@pytest.mark.parametrize("name", ALL)
def test_the_gold_submission_is_the_published_design(name):
    task = loader.load(name)
    source = (task.folder / "gold_submission.py").read_text()
    assert source == designs.source(GOLD[name])
    submission.check(posed(name), task.folder / "gold_submission.py", "paper")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("file\nmodel.py\n", None),
        ("file\nother.py\n", "other.py: No such file"),
        ("path\nmodel.py\n", "the header file and one row naming model.py"),
        ("file\nmodel.py\nmodel.py\n", "one row naming model.py"),
        ("file\n../model.py\n", "must lie beside submission.csv"),
        ("file\n/etc/passwd\n", "must lie beside submission.csv"),
    ],
)
def test_a_submission_csv_may_name_the_file(tmp_path, text, problem):
    task = posed("LongContextReasoningLRAListOpsAccuracy")
    (tmp_path / "model.py").write_text(task.folder.joinpath("starter/model.py").read_text())
    path = tmp_path / "submission.csv"
    path.write_text(text)
    if problem is None:
        assert submission.check(task, path, "smoke").path == tmp_path / "model.py"
    else:
        with pytest.raises(SubmissionError, match=problem):
            submission.check(task, path, "smoke")


CLASS = "class CustomEncoder:\n    pass\n"


@pytest.mark.parametrize(
    ("source", "failure", "kind", "words"),
    [
        ("class CustomEncoder(\n", "syntax", "syntax", "line 1"),
        (b"\xff\xfe", "syntax", None, "byte 0 is not UTF-8"),
        (f"{CLASS}\0", "syntax", "syntax", "(line 3|the file).*null byte"),
        ("class CustomEncodr:\n    pass\n", "interface", "missing_class", "CustomEncoder"),
        (f"LR = 0.5\nEMB_DIM = 'x'\n{CLASS}", "interface", "config", "EMB_DIM"),
    ],
)
def test_what_a_source_alone_tells_is_refused_with_its_class(tmp_path, source, failure, kind, words):
    path = tmp_path / "model.py"
    path.write_bytes(source if isinstance(source, bytes) else source.encode())
    with pytest.raises(SubmissionError, match=words) as caught:
        submission.check(posed("LongContextReasoningLRAListOpsConfigurableAccuracy"), path, "smoke")
    assert (caught.value.failure, caught.value.extra.get("kind")) == (failure, kind)


def test_a_byte_order_mark_is_no_mistake(tmp_path):
    path = tmp_path / "model.py"
    path.write_bytes(f"\ufeffLR = 2e-3\n{CLASS}".encode())
    task = posed("LongContextReasoningLRAListOpsConfigurableAccuracy")
    assert submission.check(task, path, "paper").settings.learning_rate == 2e-3


def test_settings_count_in_configurable_tasks_only(tmp_path, capsys):
    path = tmp_path / "model.py"
    path.write_text(f"LR = 2e-3\n{CLASS}")
    fixed = submission.check(posed("LongContextReasoningLRAListOpsAccuracy"), path, "paper")
    chosen = submission.check(posed("LongContextReasoningLRAListOpsConfigurableAccuracy"), path, "paper")
    assert (fixed.settings.learning_rate, chosen.settings.learning_rate) == (1e-4, 2e-3)
    assert "ignored in this task, which fixes them: LR" in capsys.readouterr().err
