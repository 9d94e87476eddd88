"""Proposers without a model: they draw from a task's space and answer in the same grammar. The default, and the
baseline that every agent is compared with."""

import enum
import re
from collections.abc import Mapping

import numpy as np

from aira_jax import rng as rngs
from aira_jax.llm.base import Completion, Context, ErrorKind, LLMError, Operator, Request, Role, Usage

DRAWS = 32
_ROLE_NUMBER = {Role.PROPOSE: 0, Role.ANALYZE: 1}


class Kind(enum.StrEnum):
    """`random` samples whatever is asked. `evolution` mutates to improve and crosses two parents."""

    RANDOM = "control.random"
    EVOLUTION = "control.evolution"


class Control:
    """A draw from `request.context.space`, seeded by the request's seed, node, role and attempt alone.

    A draft and a repair are fresh samples. A draw that equals a parent or an earlier good candidate is drawn again, up
    to 32 times (one that equals a parent would be no change; one that was measured teaches nothing). Costs no tokens.
    """

    model = ""

    def __init__(self, kind: Kind):
        self.kind, self.backend = kind, str(kind)

    def complete(self, request: Request) -> Completion:
        """One proposal. Raises LLMError(BAD_REQUEST) for a task without a space, and for an analyze request."""
        if request.operator is Operator.ANALYZE:
            raise LLMError(
                ErrorKind.BAD_REQUEST,
                f"{self.backend} proposes candidates and cannot analyze a run",
                fix="name a language model in config.llm.analyze.backend, or use config.fitness=evaluator",
            )
        if request.context.space is None:
            raise LLMError(
                ErrorKind.BAD_REQUEST,
                f"task {request.context.task} has no space.py, which {self.backend} draws from",
                fix="choose another config.llm.backend, or a task with a space.py",
            )
        k = 64 * request.node + 8 * _ROLE_NUMBER[request.role] + request.attempt
        rng = rngs.generator(request.context.seed, rngs.Stream.CONTROL, k)
        known = [dict(c.files) for c in (*request.context.parents, *request.context.history)]
        for _ in range(DRAWS):
            files, deed = self._draw(request.operator, request.context, rng)
            if not any(_contains(other, files) for other in known):
                break
        return Completion(answer(deed, files), "end_turn", Usage(), self.model)

    def _draw(self, operator: Operator, context: Context, rng: np.random.Generator) -> tuple[dict[str, str], str]:
        space, parents = context.space, context.parents
        if self.kind is Kind.EVOLUTION and operator is Operator.IMPROVE:
            return space.mutate(parents[0].files, rng), f"Mutate node {parents[0].node}."
        if self.kind is Kind.EVOLUTION and operator is Operator.CROSSOVER:
            a, b = parents[:2]
            return space.crossover(a.files, b.files, rng), f"Cross node {a.node} with node {b.node}."
        return space.sample(rng), "Sample from the task's space."


def _contains(files: Mapping[str, str], drawn: Mapping[str, str]) -> bool:
    """Whether writing `drawn` into `files` changes nothing."""
    return all(files.get(path) == text for path, text in drawn.items())


def answer(plan: str, files: Mapping[str, str]) -> str:
    """`plan` and whole `files` in the answer grammar."""
    blocks = [plan]
    for path, text in sorted(files.items()):
        ticks = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
        blocks.append(f"{ticks} path={path}\n{text.removesuffix(chr(10))}\n{ticks}")
    return "\n\n".join(blocks) + "\n"
