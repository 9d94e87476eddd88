"""Proposers without a model: they draw from a task's space and answer in the same grammar. The default, and the
baseline that every agent is compared with."""

import enum
import re
from collections.abc import Mapping, Sequence

import numpy as np

from aira_jax import llm as llms
from aira_jax.controls import outside
from aira_jax.controls.outside import Outside
from aira_jax.controls.trials import Exhausted, Method
from aira_jax.controls.trials import Options as MethodOptions
from aira_jax.core import rng as rngs
from aira_jax.core.operators import Operator
from aira_jax.llm.base import Completion, Context, ErrorKind, Evaluated, LLMError, Request, Role, Usage

DRAWS = 32
_ROLE_NUMBER = {Role.PROPOSE: 0, Role.ANALYZE: 1}
Files = Mapping[str, str]


class Kind(enum.StrEnum):
    """`random` samples whatever is asked. `evolution` mutates to improve and crosses two parents.

    The others search patterns by themselves, whatever a policy asks for; only a task whose space.py names a pattern
    space (`SPACE`) has them, see aira_jax.controls. `mutate` works in every space: elsewhere it samples drafts and
    mutates the best candidate so far.
    """

    RANDOM = "control.random"
    EVOLUTION = "control.evolution"
    MUTATE = "control.mutate"
    BO = "control.bo"
    END_INCREMENTAL = "control.end_incremental"
    MIDDLE_INCREMENTAL = "control.middle_incremental"
    EXHAUSTIVE = "control.exhaustive"


def method(backend: str) -> Method | Outside | None:
    """How a control searches patterns, None for evolution, which a policy guides.

    Raises ValueError for a control from outside that cannot be loaded.
    """
    if own := outside.named(backend):
        return outside.find(own)
    return None if backend == Kind.EVOLUTION else Method(backend.removeprefix(outside.PREFIX))


def check(options: "llms.Options", task) -> None:
    """Raises ValueError for a control that cannot work on `task`: no space, a region too large, a missing package."""
    kind, how, patterns = options.backend, method(options.backend), _patterns(task.space)
    if patterns is not None and how is not None:
        patterns.check_control(how, layers=options.layers, options=_method_options(options))
    elif options.layers or (kind not in (Kind.RANDOM, Kind.EVOLUTION, Kind.MUTATE)):
        what = f"config.llm.layers={options.layers}" if options.layers else kind
        why = "keeps to the task's length" if patterns is not None else f"needs patterns, and {task.name} has none"
        raise ValueError(f"{what}: {kind} {why}; choose control.random or leave config.llm.layers at 0")


def shortest(options: "llms.Options", space) -> int | None:
    """The fewest layers that a control will ask for, None where it keeps to the task's own number (or is none)."""
    patterns = _patterns(space)
    how = method(options.backend) if llms.is_control(options.backend) else None
    if patterns is None or how is None:
        return None
    return patterns.shortest(how, layers=options.layers, options=_method_options(options))


def _patterns(space):
    """The pattern space that a task's space.py names, None for other tasks."""
    return getattr(space, "SPACE", None)


def _method_options(options: "llms.Options") -> MethodOptions:
    return MethodOptions(options.per_round, options.trials, options.force, options.initial)


class Control:
    """A proposal determined by the request's seed, node, role and attempt, and by what is in view. Costs no tokens.

    A draft and a repair are fresh samples. A draw that equals a parent or an earlier good candidate is drawn again, up
    to 32 times (one that equals a parent would be no change; one that was measured teaches nothing). On patterns,
    nothing that was ever evaluated is proposed again, and when all is evaluated the search ends.
    """

    model = ""

    def __init__(self, options: "llms.Options"):
        self.backend, self.method, self.options = options.backend, method(options.backend), options

    def complete(self, request: Request) -> Completion:
        """One proposal. Raises LLMError: EXHAUSTED when nothing is left, BAD_REQUEST for a task without a space, for
        options that do not fit it and for an analyze request."""
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
        patterns = _patterns(request.context.space)
        if patterns is not None and self.method is not None:
            files, deed = self._search(patterns, request)
        else:
            files, deed = self._new(request)
        return Completion(answer(deed, files), "end_turn", Usage(), self.model)

    def _new(self, request: Request) -> tuple[Files, str]:
        rng = _generator(request.context, request.node, request.role, request.attempt)
        known = [dict(c.files) for c in (*request.context.parents, *request.context.history)]
        for _ in range(DRAWS):
            files, deed = self._draw(request.operator, request.context, rng)
            if not any(_contains(other, files) for other in known):
                break
        return files, deed

    def _draw(self, operator: Operator, context: Context, rng: np.random.Generator) -> tuple[Files, str]:
        space, parents = context.space, context.parents
        if self.backend == Kind.EVOLUTION and operator is Operator.IMPROVE:
            return space.mutate(parents[0].files, rng), f"Mutate node {parents[0].node}."
        if self.backend == Kind.EVOLUTION and operator is Operator.CROSSOVER:
            a, b = parents[:2]
            return space.crossover(a.files, b.files, rng), f"Cross node {a.node} with node {b.node}."
        if self.backend == Kind.MUTATE and operator is not Operator.DRAFT and context.history:
            best = _best(context)
            return space.mutate(best.files, rng), f"Mutate node {best.node}, the best so far."
        return space.sample(rng), "Sample from the task's space."

    def _search(self, patterns, request: Request) -> tuple[Files, str]:
        """The next pattern. What pending nodes propose is not in view, but it follows from what each of them saw."""
        context = request.context
        ahead = {t.node: t.files for t in context.tried}
        try:
            for node, saw in sorted(context.pending.items()):
                seen = [t for t in context.tried if t.node in saw]
                rng = _generator(context, node, Role.PROPOSE, 0)
                between = [files for id, files in sorted(ahead.items()) if id < node and id not in saw]
                ahead[node] = self._propose(patterns, context, seen, between, rng)[0]
            rng = _generator(context, request.node, request.role, request.attempt)
            return self._propose(patterns, context, context.tried, [ahead[n] for n in context.pending], rng)
        except Exhausted as error:
            raise LLMError(ErrorKind.EXHAUSTED, f"{self.backend}: {error}") from error
        except ValueError as error:
            raise LLMError(ErrorKind.BAD_REQUEST, f"{self.backend}: {error}") from error

    def _propose(
        self, patterns, context: Context, seen: Sequence[Evaluated], ahead: Sequence[Files], rng: np.random.Generator
    ) -> tuple[Files, str]:
        sign = -1 if context.lower_is_better else 1
        tried = [(t.files, None if t.fitness is None else sign * t.fitness) for t in seen]
        options = _method_options(self.options)
        return patterns.propose(
            self.method, tried, ahead, rng=rng, layers=self.options.layers, options=options
        )  # fmt: skip


def _best(context: Context) -> Evaluated:
    """The best good node in view, the earliest among equals."""
    sign = -1 if context.lower_is_better else 1
    return max(context.history, key=lambda c: (sign * c.fitness, -c.node))


def _generator(context: Context, node: int, role: Role, attempt: int) -> np.random.Generator:
    return rngs.generator(context.seed, rngs.Stream.CONTROL, 64 * node + 8 * _ROLE_NUMBER[role] + attempt)


def _contains(files: Files, drawn: Files) -> bool:
    """Whether writing `drawn` into `files` changes nothing."""
    return all(files.get(path) == text for path, text in drawn.items())


def answer(plan: str, files: Files) -> str:
    """`plan` and whole `files` in the answer grammar."""
    blocks = [plan]
    for path, text in sorted(files.items()):
        ticks = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
        blocks.append(f"{ticks} path={path}\n{text.removesuffix(chr(10))}\n{ticks}")
    return "\n\n".join(blocks) + "\n"
