"""Searches that grow a pattern: a few layers at a time, put behind those found so far or into their middle.

Every round searches `per_round` new layers; the best pattern of a round is what the next one extends. A round makes as
many trials as there are choices for its layers, but at most its equal share of all trials; with fewer trials than
choices it is a Bayesian optimisation over the new layers. The trained model has no other layers than these.
Source: Composer's end-layer and middle-layer incremental searches (arXiv 2510.00379).
"""

import math
from collections.abc import Callable, Sequence

from aira_jax.controls import bo, exhaustive
from aira_jax.controls.trials import DEFAULTS, Exhausted, Options, Proposal, Region, Trial, best
from aira_jax.patterns import Pattern

Layers = tuple[str, ...]


def end(found: int) -> int:
    """Where new layers go: behind all `found` layers."""
    return found


def middle(found: int) -> int:
    """Where new layers go: behind the first half, rounded up."""
    return math.ceil(found / 2)


def rounds(region: Region, options: Options) -> list[tuple[int, int]]:
    """(new layers, trials) of every round."""
    count = math.ceil(region.layers / options.per_round)
    new = [min(options.per_round, region.layers - i * options.per_round) for i in range(count)]
    return [(n, min(len(region.primitives) ** n, options.trials // count)) for n in new]


def check(region: Region, options: Options) -> None:
    """Raises ValueError for rounds without layers or trials, and where a round needs a missing package."""
    if not 1 <= options.per_round <= region.layers:
        raise ValueError(
            f"config.llm.per_round={options.per_round} layers a round: choose 1 to {region.layers}, usually 2 to 4"
        )
    plan = rounds(region, options)
    if not all(trials for _, trials in plan):
        raise ValueError(f"config.llm.trials={options.trials} for {len(plan)} rounds: give every round at least one")
    if any(trials < len(region.primitives) ** n for n, trials in plan):
        bo.check()


def propose(
    region: Region,
    trials: Sequence[Trial],
    pending: Sequence[Pattern],
    rng,
    where: Callable[[int], int],
    options: Options = DEFAULTS,
) -> Proposal:
    """A trial of the first round that is not complete. Raises Exhausted after the last."""
    found: Layers = ()
    plan = rounds(region, options)
    for number, (new, budget) in enumerate(plan, 1):
        at = where(len(found))
        inner = Region(region.primitives, new)
        done = [Trial(cut, t.quality) for t in trials if (cut := _cut(t.pattern, found, at, new))]
        begun = [cut for p in pending if (cut := _cut(p, found, at, new))]
        winners = best(done, 1)
        if len(done) + len(begun) < budget or not winners:
            searched = _inner(inner, done, begun, rng, budget, options.initial).pattern.layers
            told = f"Round {number} of {len(plan)}: {new} new layers at position {at}."
            pattern = Pattern(found[:at] + searched + found[at:])
            return Proposal(pattern, told, Pattern(found) if found else None)
        found = found[:at] + winners[0].pattern.layers + found[at:]
    raise Exhausted(f"all {len(plan)} rounds are complete; the result is {Pattern(found).pretty()}")


def _inner(inner: Region, done: Sequence[Trial], begun: Sequence[Pattern], rng, budget: int, initial: int) -> Proposal:
    if budget >= inner.size:
        return exhaustive.propose(inner, done, begun, force=True)
    return bo.propose(inner, done, begun, rng, initial)


def _cut(pattern: Pattern, found: Layers, at: int, new: int) -> Pattern | None:
    """The new layers of a pattern that extends `found` by `new` layers at `at`, None if it does not."""
    layers = pattern.layers
    if len(layers) != len(found) + new or layers[:at] + layers[at + new :] != found:
        return None
    return Pattern(layers[at : at + new])
