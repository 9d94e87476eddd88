"""A proposer on its own, without a search loop: ask for patterns, tell how good they are, stop and go on."""

from collections.abc import Mapping
from typing import Any

from aira_jax.controls import methods
from aira_jax.controls.outside import Outside
from aira_jax.controls.trials import DEFAULTS, Method, Options, Proposal, Region, Trial
from aira_jax.core import rng
from aira_jax.patterns import Pattern, parse


class Study:
    """A sequence of proposals that the seed and what was told determine, however often it is stopped.

    study = Study(Method.BO, Region(("A", "M"), 16), seed=0)
    (proposal,) = study.ask()
    study.tell(proposal.pattern, quality)
    """

    def __init__(self, method: Method | Outside, region: Region, *, seed: int, options: Options = DEFAULTS):
        methods.check(method, region, options)
        self.method, self.region, self.seed, self.options = method, region, seed, options
        self._asked = 0
        self._pending: tuple[Pattern, ...] = ()
        self._trials: tuple[Trial, ...] = ()

    @property
    def trials(self) -> tuple[Trial, ...]:
        return self._trials

    def ask(self, n: int = 1) -> list[Proposal]:
        """The next `n` proposals, all different. Raises Exhausted when there are not so many."""
        proposals = []
        for _ in range(n):
            # use 64 k of the stream: the draws of node k of a search with the same seed
            draws = rng.generator(self.seed, rng.Stream.CONTROL, 64 * self._asked)
            proposal = methods.propose(
                self.method, self.region, self._trials, pending=self._pending, rng=draws, options=self.options
            )
            self._asked += 1
            self._pending += (proposal.pattern,)
            proposals.append(proposal)
        return proposals

    def tell(self, pattern: Pattern, quality: float | None) -> None:
        """The outcome of a pattern, asked for or not: more is better, None if its evaluation failed."""
        self._pending = tuple(p for p in self._pending if p != pattern)
        self._trials += (Trial(pattern, quality),)

    def state_dict(self) -> dict[str, Any]:
        """Plain JSON data from which `load_state_dict` goes on."""
        return {
            "asked": self._asked,
            "pending": [pattern.canonical() for pattern in self._pending],
            "trials": [[trial.pattern.canonical(), trial.quality] for trial in self._trials],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._asked = state["asked"]
        self._pending = tuple(parse(text) for text in state["pending"])
        self._trials = tuple(Trial(parse(text), quality) for text, quality in state["trials"])
