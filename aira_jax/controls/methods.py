"""Every proposer without a language model behind one function.

    proposal = methods.propose(Method.BO, region, trials, rng=rng)

Every method is a pure function of what was evaluated and of a random generator: nothing has to be kept to go on.
"""

from aira_jax.controls import bo, exhaustive, incremental, tournament
from aira_jax.controls.outside import Outside
from aira_jax.controls.trials import DEFAULTS, Method, Options, Proposal, Region, fresh, known


def propose(
    method: Method | Outside, region: Region, trials, *, pending=(), rng, options: Options = DEFAULTS
) -> Proposal:
    """The next pattern of `region` (of fewer layers for the incremental methods), never one of `trials` or `pending`.

    Args:
      trials: what was evaluated (Trial), in the order of evaluation.
      pending: patterns that are being evaluated.
      rng: a numpy Generator of this proposal's own.
    Raises Exhausted when nothing is left to propose, ValueError for options that do not fit.
    """
    if method in (Method.END_INCREMENTAL, Method.MIDDLE_INCREMENTAL):
        where = incremental.end if method is Method.END_INCREMENTAL else incremental.middle
        return incremental.propose(region, trials, pending, rng, where, options)
    trials = [trial for trial in trials if trial.pattern in region]
    pending = [pattern for pattern in pending if pattern in region]
    if isinstance(method, Outside):
        return method.propose(region, trials, pending, rng)
    match method:
        case Method.RANDOM:
            return Proposal(fresh(region, known(trials, pending), rng), "A uniform draw.")
        case Method.MUTATE:
            return tournament.propose(region, trials, pending, rng)
        case Method.BO:
            return bo.propose(region, trials, pending, rng, options.initial)
        case Method.EXHAUSTIVE:
            return exhaustive.propose(region, trials, pending, force=options.force)


def check(method: Method | Outside, region: Region, options: Options) -> None:
    """Raises ValueError for options with which `propose` could never work, and where a package is missing."""
    match method:
        case Method.EXHAUSTIVE:
            exhaustive.check(region, force=options.force)
        case Method.BO:
            bo.check()
        case Method.END_INCREMENTAL | Method.MIDDLE_INCREMENTAL:
            incremental.check(region, options)


def shortest(method: Method | Outside, region: Region, options: Options) -> int:
    """The fewest layers of a pattern that `propose` can give."""
    incremental_method = method in (Method.END_INCREMENTAL, Method.MIDDLE_INCREMENTAL)
    return min(options.per_round, region.layers) if incremental_method else region.layers
