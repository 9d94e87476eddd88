"""The report of a campaign, many runs: one HTML file, its plots as PNG and SVG, and the numbers as JSON.

The HTML needs no server, no network and no JavaScript; every text in it is escaped.
"""

import json
import os
from pathlib import Path

from aira_jax.compose import flops, rows
from aira_jax.compose.pipeline import FEW, Chain
from aira_jax.patterns import parse
from aira_jax.reports import campaign_view, page_frame

REPORT = "report.html"
TABLE = "candidates.jsonl"
NUMBERS = "campaign.json"
PLOTS = "plots"


def write(chain: Chain, folder: str | os.PathLike) -> Path:
    """Writes candidates.jsonl, campaign.json, plots/ and report.html below `folder`; returns the report's path.

    Raises ValueError where `folder` cannot be written.
    """
    from aira_jax.reports import campaign_figures  # matplotlib takes a second: let the stages be printed first

    folder = Path(folder)
    try:
        (folder / PLOTS).mkdir(parents=True, exist_ok=True)
        rows.write_table(chain.rows, folder / TABLE)
        (folder / NUMBERS).write_text(json.dumps(chain.to_json(), indent=1) + "\n", encoding="utf-8")
        campaign_figures.write(chain, folder / PLOTS)
        (folder / REPORT).write_text(render(chain), encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{error.filename or folder}: {error.strerror}: choose another folder with --out") from error
    return folder / REPORT


def render(chain: Chain) -> str:
    """The HTML, the same text for the same runs."""
    style = page_frame.asset("report.css") + page_frame.asset("campaign.css")
    return page_frame.template("campaign.html.j2").render(
        chain=chain,
        style=style,
        policy=page_frame.policy(style),
        tasks=campaign_view.tasks(chain),
        heats=campaign_view.heats(chain),
        models=campaign_view.models(chain),
        progress=campaign_view.progress(chain),
        provenance=campaign_view.provenance(chain),
        few=FEW,
        budgets=flops.BUDGETS,
        pretty=lambda text: parse(text).pretty(),
    )
