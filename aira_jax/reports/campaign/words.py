"""The stages of a campaign in plain words, for a terminal."""

from collections.abc import Iterator

from aira_jax.compose import flops
from aira_jax.compose.kmeans import FEW
from aira_jax.compose.pipeline import Pipeline, Scaled
from aira_jax.compose.rows import Collection
from aira_jax.core.formatting import number
from aira_jax.patterns import parse
from aira_jax.reports.campaign.view import billions


def collected(collection: Collection) -> Iterator[str]:
    """What was read."""
    unique = len({row.pattern for row in collection.rows})
    yield (
        f"1  collect      {_many(len(collection.rows), 'step')} of {_many(len(collection.runs), 'run')} "
        f"with {_many(unique, 'pattern')}"
    )
    for run in collection.skipped:
        yield f"                left out {run.path}: {run.reason}"


def elected(pipeline: Pipeline) -> Iterator[str]:
    """What the ranking and the vote gave."""
    base, result = pipeline.base, pipeline.base.result
    yield f"2  rank         by {base.ranked_by}: {base.coverage}"
    for group in pipeline.groups:
        best = group.entries[0]
        yield f"                {_many(len(group.entries), 'pattern')} on {group.task}"
        yield f"                best {number(best.score)} {parse(best.pattern).pretty()}"
        yield f"                clusters of {', '.join(map(str, group.clusters))}"
    yield f"                {_many(pipeline.clusters, 'cluster')}: {pipeline.why}"
    yield f"3  aggregate    {_many(len(result.members), 'voter')} of the best cluster, layer by layer ({result.method})"
    yield f"                {result.pattern.pretty()}"
    hint = "" if result.evaluated else " with scripts/evaluate_pattern.py"
    yield f"                {base.evaluated}{hint}"
    if len(result.members) < FEW:
        yield "                so few voters make an example of the method, no finding"
    near = pipeline.nearest
    yield f"                nearest published base: {near.name} {near.pattern.pretty()}, edit distance {near.distance}"


def scaled(pipeline: Pipeline, budget: str = flops.BUDGETS[0]) -> Iterator[str]:
    """Models, parameters, FLOPs and steps of the chosen method."""
    for model in pipeline.scaled:
        if model.chosen:
            yield from _model(model, budget)


def _model(model: Scaled, budget: str) -> Iterator[str]:
    if model.fit is None:
        yield f"4  {model.method:8} {model.scale:>4} not reached: {model.reason}"
        return
    facts = model.fit.to_json()
    counts = f"{'/'.join(facts['counts'])} {'/'.join(map(str, facts['counts'].values()))}"
    yield f"4  {model.method:8} {model.scale:>4} {facts['pretty']}"
    yield (
        f"                {facts['layers']} layers ({counts}), {billions(facts['non_embedding'])} parameters "
        f"({facts['deviation']:+.1%} of the target), {billions(facts['total'])} with the embedding"
    )
    yield (
        f"                {facts['flops_per_token'] / 1e9:.2f} GFLOP per token; "
        f"{facts['steps'][budget]:,} steps for {budget} FLOPs"
    )
    for note in model.fit.warnings:
        yield f"                note: {note}"


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"
