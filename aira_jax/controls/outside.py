"""A control of the user's own: a function in a file, beside the methods of this package.

    # mine.py
    from aira_jax.controls.trials import fresh, known

    def blocks(region, trials, pending, rng):
        return fresh(region, known(trials, pending), rng)

    --config.llm.backend=control.mine.py:blocks
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aira_jax.controls.trials import Exhausted, Proposal, Region, Trial
from aira_jax.core import outside
from aira_jax.patterns import Pattern

OPTION, PREFIX = "config.llm.backend", "control."


@dataclasses.dataclass(frozen=True)
class Outside:
    """The control `name` (path.py:function): a pure function (region, trials, pending, rng) -> Pattern or Proposal.

    `trials` are what was evaluated, in the order of evaluation, `pending` what is being evaluated, and `rng` is a
    numpy Generator of this proposal's own; equal arguments must give equal patterns, so that a resumed search repeats
    them. It raises `Exhausted` when nothing is left to propose.
    """

    name: str
    function: Callable[..., Any]

    def propose(self, region: Region, trials: Sequence[Trial], pending: Sequence[Pattern], rng) -> Proposal:
        """Its next pattern. Raises ValueError where it raises or gives no pattern of `region`."""
        try:
            made = self.function(region, tuple(trials), tuple(pending), rng)
        except Exhausted:
            raise
        except Exception as error:
            raise ValueError(f"{self.name} raised {type(error).__name__}: {error}") from error
        proposal = made if isinstance(made, Proposal) else Proposal(made, f"Proposed by {self.name}.")
        if not isinstance(proposal.pattern, Pattern) or proposal.pattern not in region:
            raise ValueError(
                f"{self.name} gave {str(proposal.pattern)!r}; it must give a pattern of {region.layers} layers of "
                f"{', '.join(region.primitives)}"
            )
        return proposal


def named(backend: str) -> str | None:
    """path.py:function of control.path.py:function, None for every other backend."""
    own = backend.removeprefix(PREFIX)
    return own if own != backend and ":" in own else None


def find(name: str) -> Outside:
    """The control `name` (path.py:function). Raises ValueError when there is none, with the mend."""
    return Outside(name.rpartition(":")[2], outside.load(name, OPTION))


def digests(llm: Mapping[str, Any]) -> dict[str, str]:
    """Backend -> sha256 of the file, of every control from outside that config.llm names, for any operator."""
    layers = [llm, *(value for value in llm.values() if isinstance(value, Mapping))]
    backends = {str(layer.get("backend") or "") for layer in layers}
    return {backend: outside.digest(name, OPTION) for backend in sorted(backends) if (name := named(backend))}
