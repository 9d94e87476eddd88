"""Proposers without a model: draws that a seed determines, in the answer grammar, never a repetition if avoidable."""

import dataclasses
import types

import pytest

from aira_jax import llm
from aira_jax.core import rng
from aira_jax.core.operators import Operator
from aira_jax.llm import control
from aira_jax.llm.base import Context, ErrorKind, Evaluated, LLMError, Request, Role, Usage
from aira_jax.search.operators import answers


@dataclasses.dataclass(frozen=True)
class Contract:
    artifact: str = "x.csv"
    editable: tuple[str, ...] = ("*.csv",)
    starter: dict = dataclasses.field(default_factory=lambda: {"x.csv": "0\n"})


def space(values=1000):
    return types.SimpleNamespace(
        sample=lambda rng: {"x.csv": f"{rng.integers(values)}\n"},
        mutate=lambda files, rng: {"x.csv": f"{int(files['x.csv']) + 1 + rng.integers(2)}\n"},
        crossover=lambda a, b, rng: {"x.csv": f"{a['x.csv'].strip()}{b['x.csv'].strip()}\n"},
    )


def request(operator=Operator.DRAFT, parents=(), history=(), node=3, attempt=0, where="default", seed=0):
    context = Context(
        task="T",
        seed=seed,
        lower_is_better=False,
        space=space() if where == "default" else where,
        parents=tuple(Evaluated(i, {"x.csv": f"{v}\n"}, 0.5) for i, v in enumerate(parents)),
        history=tuple(Evaluated(i, {"x.csv": f"{v}\n"}, 0.5) for i, v in enumerate(history)),
    )
    return Request(operator, node, Role.PROPOSE, attempt, "", "", 10, context)


def drawn(req, kind="control.random"):
    completion = llm.make(llm.Options(backend=kind)).complete(req)
    parents = [parent.files for parent in req.context.parents]
    return answers.parse(completion.text, parents, Contract(), stop_reason=completion.stop_reason).files["x.csv"]


@pytest.mark.parametrize("node, attempt", [(0, 0), (3, 0), (3, 2), (400, 3)])
def test_the_draw_is_that_of_its_stream_and_use(node, attempt):
    k = 64 * node + attempt
    expected = rng.generator(5, rng.Stream.CONTROL, k).integers(1000)
    assert drawn(request(node=node, attempt=attempt, seed=5)) == f"{expected}\n"


@pytest.mark.parametrize("operator", [Operator.IMPROVE, Operator.DEBUG])
def test_random_samples_whatever_is_asked(operator):
    assert drawn(request(operator, parents=(7,))) == drawn(request())


def test_evolution_mutates_to_improve_crosses_two_parents_and_resamples_to_debug():
    evolution = "control.evolution"
    assert drawn(request(Operator.IMPROVE, parents=(7,)), evolution) in ("8\n", "9\n")
    assert drawn(request(Operator.CROSSOVER, parents=(4, 2)), evolution) == "42\n"
    assert drawn(request(Operator.DEBUG, parents=(7,)), evolution) == drawn(request())


def test_a_candidate_that_was_measured_is_drawn_again():
    two = space(2)
    for seed in range(8):
        assert drawn(request(history=(1,), where=two, seed=seed)) == "0\n"


def test_a_space_without_anything_new_still_answers():
    only = types.SimpleNamespace(sample=lambda rng: {"x.csv": "1\n"})
    assert drawn(request(history=(1,), where=only)) == "1\n"


def test_a_draw_costs_nothing_and_names_what_it_did():
    completion = llm.make(llm.Options(backend="control.evolution")).complete(request(Operator.IMPROVE, parents=(7,)))
    assert completion.usage == Usage()
    assert completion.text.startswith("Mutate node 0.")


def test_files_with_fences_of_their_own_survive_the_grammar():
    files = {"x.csv": "```\n````\n", "y.csv": "1\n"}
    assert answers.parse(control.answer("Plan.", files), (), Contract()).files == files


def test_a_task_without_a_space_is_an_error_that_names_it():
    with pytest.raises(LLMError, match=r"task T has no space.py") as caught:
        drawn(request(where=None))
    assert caught.value.kind is ErrorKind.BAD_REQUEST


def test_a_control_cannot_analyze():
    with pytest.raises(LLMError, match="cannot analyze"):
        drawn(request(Operator.ANALYZE))
