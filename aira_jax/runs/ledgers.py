"""The ledger of recorded searches."""

from collections.abc import Sequence
from pathlib import Path

from aira_jax import patterns
from aira_jax.compose import ranking
from aira_jax.compose.ledger import LAYERS, TASK, Ledger, Line
from aira_jax.core import choices
from aira_jax.runs import collect


def from_runs(folders: Sequence[str | Path], preset: str = "") -> Ledger:
    """The ledger of all runs on MAD with attention and MLP in or below `folders`; `preset` "": the only one there is.

    Raises ValueError where there is none, or scores of several presets.
    """
    collection = collect.collect(folders)
    mine = [row for row in collection.rows if row.task == TASK and row.layers == LAYERS]
    known = sorted({row.preset for row in mine})
    if preset and known and preset not in known:
        raise ValueError(choices.unknown(f"profile of {TASK} in these runs", preset, known))
    rows = [row for row in mine if preset in ("", row.preset)]
    found = ranking.entries(rows, ranking.Score.VALIDATION)
    if not found:
        reasons = "".join(f"\n    {run.path}: {run.reason}" for run in collection.skipped)
        raise ValueError(f"no score of {TASK} in {', '.join(map(str, folders))}: run scripts/search.py first{reasons}")
    presets = sorted({entry.preset for entry in found})
    if len(presets) > 1:
        raise ValueError(
            f"scores of several presets ({', '.join(presets)}) make no ledger: make a table of one of them with "
            f"scripts/ledger.py --profile={presets[0]}"
        )
    lines = tuple(
        Line(patterns.parse(e.pattern), e.score, e.loss, e.evaluations, e.proposals, " ".join(e.agents)) for e in found
    )
    runs = [run for run in collection.runs if run.task == TASK and preset in ("", run.preset)]
    notes = (f"task: {TASK}", *(f"run: {run.agent} seed {run.seed}, {run.steps} steps" for run in runs))
    return Ledger(presets[0], lines, notes)
