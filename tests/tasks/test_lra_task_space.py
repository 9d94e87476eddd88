"""The space of model.py files: designs that fit, one value changed at a time, nothing that is blind to order."""

import difflib

import numpy as np
import pytest

from aira_jax import llm as llms
from aira_jax.llm import base, control
from aira_jax.search.operators import answers
from aira_jax.tasks import loader
from aira_jax.tasks.lra import space
from aira_jax.tasks.lra.space import DesignSpace
from lra import contract, globals

SPACES = [
    *(("listops", False), ("listops", True), ("text", True)),
    *(("retrieval", False), ("retrieval", True), ("recall", False)),
]
DRAWS = 24


def drawn(space, count=DRAWS):
    rng = np.random.default_rng(0)
    return [space.sample(rng) for _ in range(count)]


@pytest.mark.parametrize(("task", "configurable"), SPACES)
def test_every_draw_keeps_the_contract_and_the_range_explored_on_its_task(task, configurable):
    for files in drawn(DesignSpace(task, configurable)):
        source = files["model.py"]
        contract.check_source(source, task)
        _, warnings = globals.read(source, task, configurable=configurable, profile="paper")
        assert all(warning.startswith("ignored in this task") for warning in warnings)


def test_draws_are_diverse():
    space = DesignSpace("listops")
    assert len({space.canonical(files) for files in drawn(space)}) > DRAWS * 2 / 3
    assert {files["model.py"].splitlines()[0] for files in drawn(space)} == {
        source.splitlines()[0] for source in space.designs
    }


@pytest.mark.parametrize("pair", [False, True])
def test_only_designs_for_as_many_documents_are_taken(pair):
    name = "CustomDualEncoder" if pair else "CustomEncoder"
    assert all(f"class {name}(" in source for source in DesignSpace("retrieval" if pair else "text").designs)


@pytest.mark.parametrize("configurable", [False, True])
def test_a_mutation_changes_few_lines_and_a_crossover_takes_values_of_both(configurable):
    space, rng = DesignSpace("text", configurable), np.random.default_rng(1)
    for parent in drawn(space, 10):
        child = space.mutate(parent, rng)
        diff = difflib.unified_diff(parent["model.py"].splitlines(), child["model.py"].splitlines(), n=0)
        changed = [line for line in diff if line.startswith("+") and not line.startswith("+++")]
        assert 1 <= len(changed) <= 2
    cookbook = {"model.py": space.designs[-1]}
    other = space.mutate(space.mutate(cookbook, rng), rng)
    mixed = space.crossover(cookbook, other, rng)
    assert mixed != cookbook
    for switch in space.switches:
        assert switch.value(mixed["model.py"]) is None or switch.value(mixed["model.py"]) in switch.values


def test_other_files_of_a_parent_stay():
    space, rng = DesignSpace("text"), np.random.default_rng(0)
    parent = {**space.sample(rng), "solution.py": "pass"}
    assert space.mutate(parent, rng)["solution.py"] == "pass"


def test_a_source_without_switches_is_replaced_by_a_sample():
    child = DesignSpace("text").mutate({"model.py": "x = 1\n"}, np.random.default_rng(0))
    contract.check_source(child["model.py"], "text")


def switched(**values):
    source = DesignSpace("text").designs[-1]
    for switch in space.SWITCHES:
        if switch.name in values:
            source = switch.put(source, values[switch.name])
    return source


@pytest.mark.parametrize(
    ("values", "name", "expected"),
    [
        ({"MIXER": '"linear"', "CONV_WIDTH": "0", "POSITIONS": '"none"'}, "POSITIONS", '"sinusoidal"'),
        ({"MIXER": '"linear"', "CONV_WIDTH": "3", "POSITIONS": '"none"'}, "POSITIONS", '"none"'),
        ({"MIXER": '"scan"', "CONV_WIDTH": "0", "POSITIONS": '"none"'}, "POSITIONS", '"none"'),
        ({"MIXER": '"conv"', "CONV_WIDTH": "0"}, "CONV_WIDTH", "7"),
    ],
)
def test_no_model_is_left_blind_to_order(values, name, expected):
    source = space._seeing(switched(**values))
    assert next(s for s in space.SWITCHES if s.name == name).value(source) == expected


def test_the_canonical_form_ignores_comments_and_knows_no_broken_source():
    space = DesignSpace("text")
    assert space.canonical({"model.py": "x = 1"}) == space.canonical({"model.py": "x  =  1  # one\n"})
    assert space.canonical({"model.py": "x = 2"}) != space.canonical({"model.py": "x = 1"})
    assert space.canonical({"model.py": "x ="}) is None


TASK = "LongContextReasoningLRAListOpsAccuracy"


@pytest.mark.parametrize("backend", ["control.random", "control.evolution", "control.mutate"])
def test_controls_propose_eight_different_models(backend):
    """Four drafts, then changes: what the policy greedy asks for."""
    task = loader.load(TASK)
    options = llms.Options(backend=backend)
    control.check(options, task)
    llm, seen = llms.make(options), []
    for node in range(8):
        operator = base.Operator.DRAFT if node < 4 else base.Operator.IMPROVE
        parents = tuple(seen[-1:]) if node >= 4 else ()
        context = base.Context(
            TASK, 0, False, space=task.space, parents=parents, history=tuple(seen), tried=tuple(seen)
        )
        request = base.Request(operator, node, base.Role.PROPOSE, 0, "", "", 16_000, context)
        candidate = answers.parse(llm.complete(request).text, [parent.files for parent in parents], task)
        contract.check_source(candidate.files["model.py"], "listops")
        seen.append(base.Evaluated(node, candidate.files, node / 10))
    assert len({task.canonical(item.files) for item in seen}) == 8
