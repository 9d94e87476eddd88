"""Every pattern of a small region, once each, in a fixed order: the oracle for short patterns."""

from collections.abc import Sequence

from aira_jax.controls.trials import SMALL, Exhausted, Proposal, Region, Trial, known
from aira_jax.patterns import Pattern


def check(region: Region, *, force: bool) -> None:
    """Raises ValueError for a region that is too large, unless it is forced."""
    if region.size > SMALL and not force:
        raise ValueError(
            f"{len(region.primitives)}^{region.layers} = {region.size:,} patterns are too many to evaluate all "
            f"(at most {SMALL}): search fewer layers (--config.llm.layers=6) or set --config.llm.force=true"
        )


def propose(region: Region, trials: Sequence[Trial], pending: Sequence[Pattern], *, force: bool = False) -> Proposal:
    """The first pattern that was not proposed yet."""
    check(region, force=force)
    taken = known(trials, pending)
    for number, pattern in enumerate(region, 1):
        if pattern not in taken:
            return Proposal(pattern, f"Pattern {number} of all {region.size}.")
    raise Exhausted(f"all {region.size} patterns of {region.layers} layers were evaluated: the search is complete")
