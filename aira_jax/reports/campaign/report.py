"""The report of a campaign, many runs: one HTML file, its plots as PNG and SVG, and the numbers as JSON.

The HTML needs no server, no network and no JavaScript; every text in it is escaped.
"""

import json
import os
from pathlib import Path

from aira_jax.compose import dims, flops, rows
from aira_jax.compose.kmeans import FEW
from aira_jax.compose.pipeline import Pipeline
from aira_jax.patterns import parse, registry, tokens
from aira_jax.reports import page_frame
from aira_jax.reports.campaign import view

REPORT = "report.html"
TABLE = "candidates.jsonl"
NUMBERS = "campaign.json"
PLOTS = "plots"


def write(pipeline: Pipeline, folder: str | os.PathLike) -> Path:
    """Writes candidates.jsonl, campaign.json, plots/ and report.html below `folder`; returns the report's path.

    Raises ValueError where `folder` cannot be written.
    """
    from aira_jax.reports.campaign import figures  # matplotlib takes a second: let the stages be printed first

    folder = Path(folder)
    try:
        (folder / PLOTS).mkdir(parents=True, exist_ok=True)
        rows.write_table(pipeline.rows, folder / TABLE)
        (folder / NUMBERS).write_text(json.dumps(pipeline.to_json(), indent=1) + "\n", encoding="utf-8")
        figures.write(pipeline, folder / PLOTS)
        (folder / REPORT).write_text(render(pipeline), encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{error.filename or folder}: {error.strerror}: choose another folder with --out") from error
    return folder / REPORT


def render(pipeline: Pipeline) -> str:
    """The HTML, the same text for the same runs."""
    primitives = [registry.get(token) for token in dims.primitives(pipeline.space)]
    style = page_frame.asset("report.css") + page_frame.asset("campaign.css") + page_frame.own_colours()
    return page_frame.template("campaign.html.j2").render(
        pipeline=pipeline,
        style=style,
        policy=page_frame.policy(style),
        tasks=view.tasks(pipeline),
        heats=view.heats(pipeline),
        models=view.models(pipeline),
        progress=view.progress(pipeline),
        provenance=view.provenance(pipeline),
        few=FEW,
        primitives=primitives,
        counted="/".join(tokens()),
        budgets=flops.BUDGETS,
        pretty=lambda text: parse(text).pretty(),
    )
