"""Task folders that others wrote in the published format: read as the format reads, searched from end to end."""

import copy
import csv
import json
import os
import re
import shutil
from pathlib import Path

import pytest
import toy_task

from aira_jax.sandbox import workdir
from aira_jax.search import run
from aira_jax.search.log import events
from aira_jax.search.log.tree import Tree
from aira_jax.search.settings import Settings, to_config
from aira_jax.tasks import check, loader, mounts, packages, schema

TOY = Path(__file__).parent / "airs_bench_toy" / "NumberParityNumbersAccuracy"


def published(**changes) -> dict:
    """Metadata in the published format, with changes of logging_info."""
    metadata = copy.deepcopy({key: value for key, value in toy_task.METADATA.items() if key != "aira_jax"})
    metadata["logging_info"] |= changes
    return metadata


@pytest.mark.parametrize(
    "changes",
    [
        {"research_problem": "Textual Similarity", "dataset": "RobZamp/sick", "metric": "SpearmanCorrelation"},
        {"shape": "(4906,)"},
        {"shape": "(10000, 1)"},
        {"shape": "300,1"},
        {"shape": "[5, 2]"},
        {"scoring_column": ["label_target"]},
    ],
)
def test_what_the_format_admits_is_read_and_refused_in_our_own_folders(changes):
    metadata = published(**changes)
    schema.validate(metadata, toy_task.NAME, rules=schema.Rules.FORMAT)
    with pytest.raises(ValueError):
        schema.validate(metadata, toy_task.NAME, rules=schema.Rules.OWN)


@pytest.mark.parametrize(
    ("written", "read"),
    [("-sktime", ("sktime",)), ("datasets==4.0.0", ("datasets==4.0.0",)), (["a", "b>1"], ("a", "b>1")), ([], ())],
)
def test_a_requirement_that_is_a_bare_text_is_read_as_a_list_of_one(written, read):
    metadata = published() | {"prepare_code_python_requirements": written}
    schema.validate(metadata, toy_task.NAME, rules=schema.Rules.FORMAT)
    assert schema.packages(written) == read


@pytest.mark.parametrize("shape", ["", "(0,)", "(-1,)", "rows", "3x4", "(1.5,)", [], [0], 5, "1,,2"])
def test_a_shape_without_positive_integers_is_refused_by_the_format_too(shape):
    with pytest.raises(ValueError, match="shape must be"):
        schema.validate(published(shape=shape), toy_task.NAME, rules=schema.Rules.FORMAT)


def test_the_format_still_wants_the_name_of_the_folder_and_the_shape_of_an_exported_table():
    with pytest.raises(ValueError, match="must be the name of the folder"):
        schema.validate(published(), "Another", rules=schema.Rules.FORMAT)
    metadata = published()
    del metadata["logging_info"]["shape"]
    with pytest.raises(ValueError, match=r"shape is required if submission\.csv is exported"):
        schema.validate(metadata, toy_task.NAME, rules=schema.Rules.FORMAT)


def test_our_rules_hold_inside_the_package_and_the_format_s_elsewhere():
    own = loader.load(loader.names()[0]).folder
    assert (loader.rules_of(own), loader.rules_of(TOY)) == (schema.Rules.OWN, schema.Rules.FORMAT)
    with pytest.raises(ValueError, match="shape must be a list of positive integers"):
        loader.load_folder(TOY, schema.Rules.OWN)


def test_a_published_folder_loads_with_the_profile_paper_and_all_packages():
    task = loader.load_folder(TOY)
    assert (list(task.profiles), task.cli, task.artifact, task.entry) == (["paper"], 1, "submission.csv", "solution.py")
    assert task.requirements == ("numpy",)


def test_the_check_of_a_published_folder_asks_for_what_the_format_asks(tmp_path):
    root = raw_data(tmp_path)
    findings = list(check.check(TOY, train=False, data_root=root))
    assert [f"{f.claim}: {f.problem}" for f in findings if not f.holds] == []
    assert "data are prepared with labels apart" in [finding.claim for finding in findings]


def test_missing_packages_are_named_with_the_line_that_installs_them(tmp_path):
    metadata = published() | {"container_python_requirements": ["numpy", "no-such-thing-7==1.0", "other_missing>2"]}
    task = loader.load_folder(toy_task.make(tmp_path, metadata=metadata, prepare="import no_such_thing_7\n"))
    assert packages.missing(task.requirements) == ("no-such-thing-7==1.0", "other_missing>2")
    with pytest.raises(ValueError, match=re.escape("pip install no-such-thing-7==1.0 'other_missing>2'")):
        mounts.prepare(task, "paper", tmp_path / "data", self_reported=True)


def raw_data(folder: Path) -> Path:
    """A data root that holds the numbers where the scripts of the toy look for them."""
    path = folder / "data" / "raw" / "example" / "numbers" / "rows.csv"
    path.parent.mkdir(parents=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["number", "parity"])
        writer.writerows((7 * i % 181, 7 * i % 181 % 2) for i in range(180))
    return folder / "data"


SOLUTION = """
import csv, os
seen = [name for name in os.listdir("data")]
assert sorted(seen) == ["test", "train", "validation"], seen
def rows(split):
    with open(f"data/{split}/rows.csv", newline="") as file:
        return list(csv.DictReader(file))
def answer(number):
    return RULE
labelled = rows("validation")
with open("submission.csv", "w") as file:
    file.write("parity\\n" + "".join(f"{answer(int(r['number']))}\\n" for r in rows("test")))
right = sum(answer(int(r["number"])) == int(r["parity"]) for r in labelled)
print("Accuracy:", right / len(labelled))
"""


def proposal(rule: str) -> str:
    return f"A rule.\n\n``` path=solution.py\n{SOLUTION.replace('RULE', rule).strip()}\n```\n"


def verdict(metric: float | None) -> str:
    return json.dumps({"is_bug": metric is None, "summary": "it ran", "metric": metric})


def searched(folder: Path, scratch: Path, proposals: list[str], metrics: list[float]) -> Path:
    """Searches a folder with a model that answers a draft, then improvements; what an analyst reads is `metrics`."""
    answers = []
    for count, (completion, metric) in enumerate(zip(proposals, metrics, strict=True)):
        answers.append({"operator": "improve" if count else "draft", "completion": completion})
        answers.append({"operator": "analyze", "completion": verdict(metric)})
    replay = scratch / "answers.jsonl"
    replay.write_text("".join(json.dumps(line) + "\n" for line in answers))
    config = to_config(Settings())
    config.update(task=str(folder), profile="paper", fitness="self_reported")
    config.paths.update(data_root=str(raw_data(scratch)), cache_dir=str(scratch / "cache"))
    config.llm.update(backend="replay", path=str(replay))
    config.budget.steps = len(proposals)
    config.policy.greedy.num_drafts = 1
    config.log.fsync = "off"
    config.display.terminal = "off"
    return run.search(config, scratch / "runs").folder


def test_a_published_folder_is_searched_by_an_agent_from_end_to_end(tmp_path):
    """Two answers of a model: one guesses, one is right; the analyst reads what they printed; the better one is scored
    on test by the folder's own evaluate.py."""
    folder = searched(TOY, tmp_path, [proposal("0"), proposal("number % 2")], [0.5, 1.0])
    records = events.read(folder)
    tree = Tree.fold(records, events.Blobs(folder / "blobs"))
    assert [node.fitness for node in tree.nodes] == [0.5, 1.0]
    assert tree.submitted == 1
    assert {(r["node"], r["value"]) for r in records if r["kind"] == "test_result"} == {(0, 0.5), (1, 1.0)}


def test_a_search_says_at_its_start_which_packages_of_the_task_are_missing(tmp_path):
    folder = tmp_path / TOY.name
    shutil.copytree(TOY, folder)
    metadata = (folder / "metadata.yaml").read_text()
    (folder / "metadata.yaml").write_text(metadata.replace("requirements: -numpy", "requirements: no-such-thing-7"))
    records = events.read(searched(folder, tmp_path, [proposal("0")], [0.5]))
    warned = [record["text"] for record in records if record["kind"] == "warning" and record["code"] == "packages"]
    assert warned == [
        f"{TOY.name} asks for packages that are not installed: no-such-thing-7\n    pip install no-such-thing-7"
    ]


DEEP = """
import os
here = os.getcwd()
os.mkdir("predictions")
for level in range(1500):
    os.mkdir("d")
    os.chdir("d")
os.chdir(here)
"""


def test_a_tree_of_fifteen_hundred_folders_ends_no_search(tmp_path):
    folder = searched(
        TOY, tmp_path, [proposal("number % 2").replace("import csv, os", f"import csv, os\n{DEEP.strip()}")], [1.0]
    )
    kinds = [record["kind"] for record in events.read(folder)]
    assert "test_result" in kinds
    assert kinds[-1] == "session_end"
    assert not (folder / "scratch").exists()


def test_a_deep_tree_that_a_killed_session_left_is_cleared(tmp_path):
    place = tmp_path / "scratch"
    here = os.getcwd()
    place.mkdir()
    os.chdir(place)
    for _ in range(1500):
        os.mkdir("d")
        os.chdir("d")
    os.chdir(here)
    workdir.clear(place)
    workdir.clear(place)
    assert list(tmp_path.iterdir()) == []
