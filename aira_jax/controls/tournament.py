"""Evolution by tournament: the best of ten drawn from the fifty best is changed, in one of four ways."""

from collections.abc import Sequence

from aira_jax.controls.trials import Proposal, Region, Trial, best, fresh, known
from aira_jax.patterns import Pattern

INITIAL = 10  # unique random designs before the first change
POOL, TOURNAMENT = 50, 10
_TRIES = 32


def propose(region: Region, trials: Sequence[Trial], pending: Sequence[Pattern], rng) -> Proposal:
    """A substitution, a swap, a copied block or a crossover, each as likely; a draw if all tries are known."""
    taken, pool = known(trials, pending), best([t for t in trials if t.pattern in region], POOL)
    if len(taken) < INITIAL or not pool:
        return Proposal(fresh(region, taken, rng), "A uniform draw of the initial design.")
    for _ in range(_TRIES):
        parent = _winner(pool, rng)
        if rng.integers(4) == 0:
            other = _winner(pool, rng)
            child, deed = region.cross(parent, other, rng), f"Cross {parent} with {other}."
        else:
            child, deed = region.mutate(parent, rng), f"Mutate {parent}."
        if child not in taken:
            return Proposal(child, deed, parent)
    return Proposal(fresh(region, taken, rng), "A uniform draw: every change that was tried is known.")


def _winner(pool: Sequence[Trial], rng) -> Pattern:
    """The best of a tournament; `pool` is sorted, best first."""
    return pool[min(int(i) for i in rng.integers(len(pool), size=TOURNAMENT))].pattern
