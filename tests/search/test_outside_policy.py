"""A policy that lies in a file outside of the package."""

import pytest
from search_lab import search, tree

from aira_jax.search.policies import PolicyConfig, select

MINE = """
from aira_jax.search.policies import Action

def widen(tree, rng):
    return Action.draft() if len(tree.drafts) < 2 or tree.best is None else Action.improve(tree.best)
"""


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return f"{path}:widen"


def test_a_policy_from_a_file_drives_a_search_and_its_resume(lab, tmp_path, mine):
    done = search(tmp_path, policy__name=mine, budget__steps=3)
    again = search(tmp_path, policy__name=mine, budget__steps=5)
    straight = search(tmp_path, "straight", policy__name=mine, budget__steps=5)
    assert done.folder.parent.name == "widen-control.evolution"
    assert [str(node.operator) for node in tree(again.folder).nodes][:2] == ["draft", "draft"]
    assert tree(again.folder).fingerprint() == tree(straight.folder).fingerprint()


def test_a_run_whose_policy_has_changed_is_refused(lab, tmp_path, mine):
    search(tmp_path, policy__name=mine, budget__steps=1)
    (tmp_path / "mine.py").write_text(MINE.replace("< 2", "< 3"))
    with pytest.raises(ValueError, match=r"config\.policy\.name=.*mine\.py:widen has changed"):
        search(tmp_path, policy__name=mine, budget__steps=2)


@pytest.mark.parametrize(
    "name, words",
    [
        ("greedi", 'did you mean "greedy"'),
        ("nowhere.py:f", "nowhere.py cannot be read"),
        ("{}:widn", 'did you mean "widen"'),
    ],
)
def test_a_policy_that_is_not_there_is_named_with_its_mend(tmp_path, mine, name, words):
    with pytest.raises(ValueError, match=words):
        select(None, None, PolicyConfig(name.format(mine.partition(":")[0])))
