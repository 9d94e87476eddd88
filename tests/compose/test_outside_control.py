"""A control that lies in a file outside of the package, by the recipe in WORKSPACE.md."""

import control_lab
import pytest

from aira_jax import llm
from aira_jax.controls import outside
from aira_jax.controls.study import Study
from aira_jax.controls.trials import Region
from aira_jax.patterns import parse
from aira_jax.runs import collect, studies

MINE = """
from aira_jax.controls.trials import Exhausted, fresh, known
from aira_jax.patterns import Pattern

def blocks(region, trials, pending, rng):
    best = max((t for t in trials if t.quality is not None), key=lambda t: t.quality, default=None)
    if best is None or rng.random() < 0.3:
        return fresh(region, known(trials, pending), rng)
    for _ in range(50):
        child = region.mutate(best.pattern, rng)
        if child not in known(trials, pending):
            return child
    raise Exhausted("nothing is left")

def short(region, trials, pending, rng):
    return Pattern(("A",))

def broken(region, trials, pending, rng):
    return {}["x"]
"""


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return f"control.{path}:blocks"


def test_a_control_from_a_file_drives_a_search_as_it_does_a_study_and_is_resumed_and_reported(lab, tmp_path, mine):
    control_lab.search(tmp_path, mine, 5)
    done = control_lab.search(tmp_path, mine, 8)
    nodes = control_lab.tree(done.folder).nodes
    study = Study(outside.find(outside.named(mine)), Region(("A", "M"), 16), seed=0)
    for node in nodes:
        (proposal,) = study.ask()
        assert parse(node.files["submission.csv"].splitlines()[1]) == proposal.pattern
        study.tell(proposal.pattern, node.fitness)
    assert len(nodes) == 8
    assert done.folder.parent.name == "greedy-control.blocks"
    assert {row.agent for row in collect.read_run(done.folder)[0]} == {"greedy-control.blocks"}
    assert studies.read(done.folder).control


def test_a_run_whose_control_has_changed_is_refused(lab, tmp_path, mine):
    control_lab.search(tmp_path, mine, 2)
    (tmp_path / "mine.py").write_text(MINE.replace("0.3", "0.4"))
    with pytest.raises(ValueError, match=r"config\.llm\.backend=control\..*mine\.py:blocks has changed"):
        control_lab.search(tmp_path, mine, 3)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("short", "short gave 'A'; it must give a pattern of 16 layers of A, M"),
        ("broken", "broken raised KeyError: 'x'"),
    ],
)
def test_what_gives_no_pattern_of_the_task_is_a_failed_node_with_the_mend(lab, tmp_path, mine, function, message):
    done = control_lab.search(tmp_path, mine.replace("blocks", function), 1)
    (node,) = control_lab.tree(done.folder).nodes
    assert (node.status, lab.trained) == ("failed", [])
    assert message in node.message


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        ("control.blocks", "control.PATH.py:FUNCTION"),
        ("control.nowhere.py:blocks", r"nowhere\.py cannot be read"),
        ("{}:block", 'did you mean "blocks"'),
    ],
)
def test_a_control_that_is_not_there_is_named_with_its_mend(mine, backend, message):
    with pytest.raises(ValueError, match=message):
        llm.make(llm.Options(backend=backend.format(mine.rpartition(":")[0])))
