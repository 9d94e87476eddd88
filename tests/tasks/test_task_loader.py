"""Task folders: found, read, validated; their data made once, in one step, with labels where no candidate can look."""

import copy
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import toy_task

from aira_jax.proxies import fidelity
from aira_jax.tasks import loader, mounts, overview, schema
from aira_jax.tasks.compose.proxies import Mad

TWO = "NeuralArchitectureSearchMAD2PrimitivesAccuracy"
THREE = "NeuralArchitectureSearchMAD3PrimitivesMbAccuracy"


@pytest.fixture
def toy(tmp_path):
    return loader.load_folder(toy_task.make(tmp_path))


@pytest.mark.parametrize("name", [TWO, THREE])
def test_the_compose_tasks_on_mad(name):
    task = loader.load(name)
    assert name in loader.names()
    assert (task.name, task.metric, task.lower_is_better) == (name, Mad.metric, False)
    assert (task.optimum, task.sota, task.worst) == (1.0, None, None)
    assert (task.artifact, task.cli, task.executes_candidate) == ("submission.csv", 2, False)
    assert task.canonical(task.starter)
    assert task.canonical({"submission.csv": "architecture\n15A\n"}) is None
    assert task.entry in task.starter
    assert len(task.sha) == 64


def test_only_the_larger_space_has_mamba():
    two, three = (loader.load(name).space.SPACE.primitives for name in (TWO, THREE))
    assert (two, three) == (("A", "M"), ("A", "M", "Mb"))


@pytest.mark.parametrize("name", [TWO, THREE])
def test_profiles_tell_what_the_presets_are(name):
    profiles = loader.load(name).profiles
    assert set(profiles) == set(fidelity.PRESETS)
    for profile, told in profiles.items():
        preset = fidelity.get(profile)
        assert told == {
            "width": preset.d,
            "epochs": preset.epochs,
            "train_rows": preset.train,
            "test_rows": preset.test,
            "mad_tasks": len(preset.tasks),
        }, profile


def test_an_unknown_task_is_named_with_the_nearest_and_all_names():
    with pytest.raises(loader.UnknownTask) as caught:
        loader.load("NeuralArchitectureSearchMAD2Primitives")
    assert f'did you mean "{TWO}"?' in str(caught.value)
    assert THREE in str(caught.value)


def test_importing_the_loader_imports_no_array_library():
    program = "import sys, aira_jax.tasks.loader as l; l.load(l.names()[0]); print(*sys.modules)"
    command = [sys.executable, "-c", program]
    shown = subprocess.run(command, env=mounts.script_environment(), capture_output=True, text=True, check=True)
    assert not {"jax", "flax", "numpy"} & set(shown.stdout.split())


@pytest.mark.parametrize("file", ["starter/submission.csv", "project_description.md", "evaluate.py"])
def test_the_folder_hash_covers_what_a_candidate_or_a_score_sees(tmp_path, file):
    folder = toy_task.make(tmp_path)
    before = loader.load_folder(folder).sha
    (folder / file).write_text((folder / file).read_text() + "\n# 0.6")
    assert loader.load_folder(folder).sha != before


def test_the_folder_hash_leaves_out_examples_and_the_list_of_modules(tmp_path):
    before = loader.load_folder(toy_task.make(tmp_path / "a")).sha
    metadata = copy.deepcopy(toy_task.METADATA)
    metadata["aira_jax"]["modules"] = ["aira_jax.proxies.mad"]
    folder = toy_task.make(tmp_path / "b", metadata=metadata)
    (folder / "broken" / "words.csv").write_text("quarter")
    assert loader.load_folder(folder).sha == before


def test_older_versions_of_a_task_are_named_for_its_present_one_and_no_other(tmp_path):
    tasks = [loader.load(name) for name in loader.names()]
    assert all(task.older_shas for task in tasks), "renew aira_jax/tasks/older.json, or drop what no longer compares"
    changed = tmp_path / TWO
    shutil.copytree(loader.load(TWO).folder, changed)
    (changed / "project_description.md").write_text(loader.load(TWO).description + "\nMore.")
    assert loader.load_folder(changed).older_shas == ()


def test_a_copy_whose_links_lead_nowhere_is_refused_with_the_mend(tmp_path):
    shutil.copytree(loader.load(TWO).folder, tmp_path / TWO, symlinks=True)
    with pytest.raises(ValueError, match="copy task folders with cp -rL"):
        loader.load_folder(tmp_path / TWO)


def test_a_folder_without_our_block_is_an_upstream_task(tmp_path):
    metadata = {key: value for key, value in toy_task.METADATA.items() if key != "aira_jax"}
    task = loader.load_folder(toy_task.make(tmp_path, metadata=metadata))
    assert (task.cli, task.artifact, task.space, task.canonical({})) == (1, "submission.csv", None, None)
    assert task.sota == 0.9


@pytest.mark.parametrize("file", ["metadata.yaml", "project_description.md", "starter/submission.csv"])
def test_a_missing_file_is_named(tmp_path, file):
    folder = toy_task.make(tmp_path)
    (folder / file).unlink()
    with pytest.raises(ValueError, match=f"{file}: no such file"):
        loader.load_folder(folder)


def test_broken_yaml_is_named(tmp_path):
    folder = toy_task.make(tmp_path)
    (folder / "metadata.yaml").write_text("a: [")
    with pytest.raises(ValueError, match=r"metadata\.yaml: not valid YAML"):
        loader.load_folder(folder)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("metric_lower_is_better",), "no", "metric_lower_is_better must be true or false, found 'no'"),
        (("file_export_globs",), [], "file_export_globs must be a list"),
        (("logging_info", "metric"), "", "logging_info.metric must be a text"),
        (("logging_info", "sota"), [], "logging_info.sota must be a list of entries"),
        (("logging_info", "sota"), [{"sota_paper_url": "u"}], "logging_info.sota must be"),
        (("logging_info", "shape"), [0], "logging_info.shape must be a list of positive integers"),
        (("logging_info", "name"), "Other", "must be the name of the folder"),
        (("logging_info", "dataset"), "Other", "they spell GuessingOtherAccuracy"),
        (("logging_info", "optimal_score"), float("nan"), "optimal_score must be a number or null"),
        (("aira_jax", "cli"), 3, "aira_jax.cli must be 1 or 2, found 3"),
        (("aira_jax", "limits"), {"fit_s": 1}, "aira_jax.limits must be positive numbers"),
        (("aira_jax", "profiles"), {}, "aira_jax.profiles must be a mapping"),
        (("aira_jax", "corpus"), "dclm+pages", "aira_jax.corpus must be one of babistories, dclm.* joined by"),
        (("aira_jax", "mix"), {"mad": 0}, "aira_jax.mix must be a mapping from proxies to weights above 0"),
        (("aira_jax", "artefact"), "x", "aira_jax.artefact is no known key .did you mean .artifact"),
    ],
)
def test_a_wrong_value_in_the_metadata_is_named(path, value, message):
    metadata = copy.deepcopy(toy_task.METADATA)
    place = metadata
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(ValueError, match=message):
        schema.validate(metadata, toy_task.NAME)


@pytest.mark.parametrize("section", ["", "logging_info", "aira_jax"])
def test_every_required_key_is_missed(section):
    rules = {"": schema.TOP, "logging_info": schema.LOGGING, "aira_jax": schema.EXTENSION}[section]
    for rule in rules:
        metadata = copy.deepcopy(toy_task.METADATA)
        place = metadata[section] if section else metadata
        place.pop(rule.key, None)
        if rule.required:
            with pytest.raises(ValueError, match=f"{rule.key} is missing"):
                schema.validate(metadata, toy_task.NAME)


def test_all_problems_are_listed_at_once():
    with pytest.raises(ValueError) as caught:
        schema.validate({"logging_info": {}}, toy_task.NAME)
    assert len(str(caught.value).splitlines()) > 15


def test_prepared_data_lie_in_separate_places(toy, tmp_path):
    prepared = mounts.prepare(toy, "smoke", tmp_path / "data")
    assert {path.name for path in prepared.agent.iterdir()} == {"train", "validation", "test"}
    assert [path.name for path in prepared.eval_validation.iterdir()] == ["validation_with_labels"]
    assert prepared.eval_test is None
    assert prepared.eval_validation.is_relative_to(prepared.labels_root)
    assert not prepared.agent.is_relative_to(prepared.labels_root)


def test_test_labels_appear_only_when_they_are_asked_for(toy, tmp_path):
    mounts.prepare(toy, "smoke", tmp_path / "data")
    assert not list((tmp_path / "data").rglob("test_with_labels"))
    prepared = mounts.prepare_test(toy, "smoke", tmp_path / "data")
    assert [path.name for path in prepared.eval_test.iterdir()] == ["test_with_labels"]
    assert mounts.prepare(toy, "smoke", tmp_path / "data") == prepared


def test_prepared_data_are_made_once_and_are_read_only(toy, tmp_path, monkeypatch):
    prepared = mounts.prepare_test(toy, "smoke", tmp_path / "data")
    files = [path for path in prepared.agent.rglob("*") if path.is_file()]
    assert files
    assert all(path.stat().st_mode & 0o222 == 0 for path in files)
    monkeypatch.setattr(subprocess, "run", None)
    assert mounts.prepare_test(toy, "smoke", tmp_path / "data") == prepared


@pytest.mark.parametrize("name", ["prepare.py", "metadata.yaml", "ledger.csv"])
def test_a_changed_script_setting_or_table_forces_new_data(tmp_path, name):
    folder = toy_task.make(tmp_path)
    before = mounts.prepare(loader.load_folder(folder), "smoke", tmp_path / "data")
    with (folder / name).open("a") as file:
        file.write("# changed\n")
    after = mounts.prepare(loader.load_folder(folder), "smoke", tmp_path / "data")
    assert after.agent != before.agent
    assert after.agent.exists()


def test_a_changed_description_keeps_the_data(tmp_path):
    folder = toy_task.make(tmp_path)
    before = mounts.prepare(loader.load_folder(folder), "smoke", tmp_path / "data")
    with (folder / "project_description.md").open("a") as file:
        file.write("more words\n")
    assert mounts.prepare(loader.load_folder(folder), "smoke", tmp_path / "data") == before


def test_the_modules_of_the_metadata_count_as_scripts(toy, tmp_path, monkeypatch):
    metadata = copy.deepcopy(toy_task.METADATA)
    metadata["aira_jax"]["modules"] = ["aira_jax.proxies.mad"]
    other = loader.load_folder(toy_task.make(tmp_path / "other", metadata=metadata))
    assert other.preparation_sha != toy.preparation_sha


def test_a_hidden_seed_makes_other_data_and_stays_out_of_names(toy, tmp_path):
    public = mounts.prepare(toy, "smoke", tmp_path / "data")
    hidden = mounts.prepare(toy, "smoke", tmp_path / "data", hidden_seed=424242)
    texts = [(p.agent / "train" / "x.txt").read_text() for p in (public, hidden)]
    assert texts == ["5", "424242"]
    assert not any("424242" in str(path) for path in (tmp_path / "data").rglob("*"))
    assert not any("424242" in path.read_text() for path in (tmp_path / "data").rglob("prepared.json"))


def test_discarded_data_are_gone_and_made_again_equal(toy, tmp_path):
    arguments = (toy, "smoke", tmp_path / "root", 42)
    first = mounts.prepare_test(*arguments)
    other = mounts.prepare_test(*arguments[:3])
    found = (first.agent / "train" / "x.txt").read_text()
    mounts.discard(*arguments)
    assert not first.agent.exists()
    assert not first.eval_test.exists()
    assert other.agent.exists()
    assert other.eval_test.exists()
    assert (mounts.prepare(*arguments).agent / "train" / "x.txt").read_text() == found


def test_a_hidden_seed_of_the_environment_is_not_used_unless_it_is_passed(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("AIRA_JAX_HIDDEN_SEED", "9")
    prepared = mounts.prepare(toy, "smoke", tmp_path / "data")
    assert (prepared.agent / "train" / "x.txt").read_text() == "5"


@pytest.mark.parametrize("damage", ["no marker", "bad marker", "no folder"])
def test_damaged_data_are_made_again(toy, tmp_path, damage):
    prepared = mounts.prepare(toy, "smoke", tmp_path / "data")
    marker = prepared.agent.parent / "prepared.json"
    if damage == "no folder":
        os.rename(prepared.agent.parent, tmp_path / "elsewhere")
    elif damage == "bad marker":
        marker.write_text("{")
    else:
        marker.unlink()
    again = mounts.prepare(toy, "smoke", tmp_path / "data")
    assert json.loads(marker.read_text())["profile"] == "smoke"
    assert (again.agent / "train" / "x.txt").exists()


def test_two_preparations_at_once_make_one_folder(toy, tmp_path, monkeypatch):
    """The other process finishes while this one still runs its script."""
    run_script, inner = mounts._Place._run, []

    def interrupted(place, script, flags):
        run_script(place, script, flags)
        if not inner:
            inner.append(script)
            inner.append(mounts.prepare(toy, "smoke", tmp_path / "data"))

    monkeypatch.setattr(mounts._Place, "_run", interrupted)
    assert mounts.prepare(toy, "smoke", tmp_path / "data") == inner[1]
    assert [path.name for path in inner[1].agent.parent.parent.iterdir()] == [inner[1].agent.parent.name]


def test_a_failing_script_leaves_nothing_and_is_quoted(tmp_path):
    task = loader.load_folder(toy_task.make(tmp_path, prepare=toy_task.PREPARE + "raise SystemExit('no space left')\n"))
    with pytest.raises(ValueError, match="ended with exit code 1:\nno space left"):
        mounts.prepare(task, "smoke", tmp_path / "data")
    assert not [path for path in (tmp_path / "data" / "prepared").rglob("*") if path.is_file()]


@pytest.mark.parametrize(("profile", "seed", "message"), [("smok", None, "no profile 'smok'; known: smoke")])
def test_bad_arguments_of_prepare_are_named(toy, tmp_path, profile, seed, message):
    with pytest.raises(ValueError, match=message):
        mounts.prepare(toy, profile, tmp_path, hidden_seed=seed)
    with pytest.raises(ValueError, match="must not be negative"):
        mounts.prepare(toy, "smoke", tmp_path, hidden_seed=-1)


def test_the_overview_tells_shapes_types_and_two_rows(toy, tmp_path):
    prepared = mounts.prepare(toy, "smoke", tmp_path / "data")
    os.chmod(prepared.agent / "train", 0o755)
    np.savez(prepared.agent / "train" / "rows.npz", x=np.arange(60).reshape(3, 20))
    assert overview.data_overview(prepared.agent).splitlines() == [
        "data/test/x.txt: 1 bytes",
        "data/train/rows.npz, array x: shape [3, 20], int64",
        "    row 0: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 ... (20 values)",
        "    row 1: 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 ... (20 values)",
        "data/train/x.txt: 1 bytes",
        "data/validation/x.txt: 1 bytes",
    ]
