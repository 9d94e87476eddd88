"""The report of a study, a folder of runs: tables as CSV and Markdown, plots as PNG and SVG, and one HTML file.

The HTML holds every table and plot, needs no server, no network and no JavaScript; every text in it is escaped.
"""

import base64
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aira_jax.reports import page_frame
from aira_jax.reports.run.verdict import Claim
from aira_jax.statistics import tables
from aira_jax.statistics.contrasts import Contrast, Measure, Verdict
from aira_jax.statistics.published import SOURCE
from aira_jax.statistics.summary import Summary
from aira_jax.statistics.table import Form, Table, written

REPORT = "report.html"
NUMBERS = "statistics.json"
MARKDOWN = "tables.md"
TABLES, PLOTS = "tables", "plots"
ONLY_FILES = ("steps",)  # tables that a page is too short for
FOLD = 40  # rows; a longer table is opened by a click

_ALTERNATIVES = {
    "figure_8_best_test": "Mean of the best test score found, per agent and task",
    "figure_9_valid_runs": "Rate of valid submissions per agent",
    "figure_10_normalised_score": "Mean normalised score per agent",
    "figure_11_best_found_and_submitted": "Test score of the submission and best test score found, per agent and task",
    "figure_12_best_per_seed": "Best test score of every seed, per agent and task",
    "figure_13_progress": "Best validation score so far against steps, one line per run",
}


@dataclass(frozen=True)
class Picture:
    """A plot inside the page: `data` is a data: address, `says` its description for those who do not see it."""

    name: str
    says: str
    data: str


@dataclass(frozen=True)
class Written:
    """What lies in the folder: the report, tables by name as CSV, plots by name as (PNG, SVG); `made` and `numbers` are
    the tables, and what statistics.json holds."""

    report: Path
    tables: Mapping[str, Path]
    plots: Mapping[str, tuple[Path, Path]]
    made: tuple[Table, ...]
    numbers: Mapping[str, Any]


def write(summary: Summary, contrasts: Sequence[Contrast], folder: str | os.PathLike) -> Written:
    """Writes tables/, plots/, tables.md, statistics.json and report.html below `folder`.

    Tables and plots that an earlier study left there and that this one has nothing for are removed. Raises
    ValueError where `folder` cannot be written.
    """
    from aira_jax.reports.statistics import figures  # matplotlib takes a second: bad input should not wait for it

    folder = Path(folder)
    every = tables.of(summary, contrasts)
    made = tuple(table for table in every if table.rows)
    numbers = to_json(summary, made)
    try:
        (folder / TABLES).mkdir(parents=True, exist_ok=True)
        files = {table.name: folder / TABLES / f"{table.name}.csv" for table in every}
        for table in every:
            files[table.name].unlink(missing_ok=True)
        for table in made:
            files[table.name].write_text(table.to_csv(), encoding="utf-8")
        shown = [table.filled() for table in made if table.name not in ONLY_FILES]
        (folder / MARKDOWN).write_text("\n".join(table.to_markdown() for table in shown), encoding="utf-8")
        plots = figures.write(summary, folder / PLOTS)
        (folder / NUMBERS).write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
        (folder / REPORT).write_text(render(summary, contrasts, shown, _pictures(plots)), encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{error.filename or folder}: {error.strerror}: choose another folder with --out") from error
    return Written(folder / REPORT, {t.name: files[t.name] for t in made}, plots, made, numbers)


def to_json(summary: Summary, made: Sequence[Table]) -> dict[str, Any]:
    """What the runs were and every table for readers, as {name: [one object a row]}."""
    study, agents = summary.study, summary.agents
    return {
        "runs": len(study.rows),
        "valid": sum(row.valid for row in study.rows),
        "agents": list(study.agents),
        "controls": list(study.controls),
        "tasks": [task.name for task in study.tasks],
        "profiles": list(study.profiles),
        "hierarchical": study.choice.hierarchical,
        "skipped": [{"path": run.path, "reason": run.reason} for run in study.skipped],
        "notes": list(study.notes),
        "vsr": {a.agent: a.vsr.value for a in agents},
        "vsr_ci": {a.agent: [a.vsr.low, a.vsr.high] for a in agents},
        "normalised_score": {a.agent: a.ns and a.ns.value for a in agents},
        "normalised_score_ci": {a.agent: a.ns and [a.ns.low, a.ns.high] for a in agents},
        "generalisation_gap": {a.agent: _gaps(summary, a.agent) for a in agents},
        "tables": {table.name: table.to_json() for table in made if table.name not in ONLY_FILES},
    }


def _gaps(summary: Summary, agent: str) -> dict[str, float | None]:
    cells = (cell for cell in summary.cells if cell.agent == agent)
    return {cell.task.name: cell.generalisation_gap and cell.generalisation_gap.value for cell in cells}


def render(
    summary: Summary, contrasts: Sequence[Contrast], shown: Sequence[Table], pictures: Mapping[str, Picture]
) -> str:
    """The HTML, the same text for the same runs."""
    css = page_frame.asset("report.css") + page_frame.asset("statistics.css")
    return page_frame.template("statistics.html.j2").render(
        summary=summary,
        study=summary.study,
        tables={table.name: table for table in shown},
        pictures=pictures,
        headline=headline(summary, contrasts),
        claim=_claim(_takeaways(summary, contrasts)),
        intervals=tables.intervals(summary),
        source=SOURCE,
        fold=FOLD,
        style=css,
        policy=page_frame.policy(css),
    )


def headline(summary: Summary, contrasts: Sequence[Contrast]) -> list[str]:
    """What a reader should take home: every agent against every control, by the widest measure that there is."""
    study = summary.study
    if not study.controls:
        return ["No control ran here, so nothing shows what the language models add: run one, as control.random."]
    if len(study.controls) == len(study.agents):
        return ["Only controls ran here: these figures are the floor that a language model has to beat."]
    told = [_told(contrast) for contrast in _takeaways(summary, contrasts)]
    return told or ["No agent and control ran a task in common."]


def _takeaways(summary: Summary, contrasts: Sequence[Contrast]) -> list[Contrast]:
    pairs: dict[tuple[str, str], list[Contrast]] = {}
    for contrast in contrasts:
        if contrast.b in summary.study.controls:
            pairs.setdefault((contrast.a, contrast.b), []).append(contrast)
    return [contrast for found in pairs.values() for contrast in _widest(found)]


def _widest(found: Sequence[Contrast]) -> list[Contrast]:
    """Of one pair: the normalised score over all tasks; else the test score on each; else the rate of valid runs."""
    by = {measure: [contrast for contrast in found if contrast.measure is measure] for measure in Measure}
    return by[Measure.NS][:1] or by[Measure.TEST] or by[Measure.VSR]


def _claim(takeaways: Sequence[Contrast]) -> Claim:
    """The colour of the headline: green or red only where all that is shown points one way."""
    shown = {contrast.verdict for contrast in takeaways} & {Verdict.BETTER, Verdict.WORSE}
    if shown == {Verdict.BETTER}:
        return Claim.BEYOND
    return Claim.WORSE if shown == {Verdict.WORSE} else Claim.WITHIN


def _told(contrast: Contrast) -> str:
    on = contrast.tasks[0].label if len(contrast.tasks) == 1 else f"{len(contrast.tasks)} tasks"
    difference = written(contrast.difference, Form.DIFFERENCE)
    return f"{contrast.a} against {contrast.b}: {contrast.verdict}, {difference} in {contrast.measure} on {on}."


def _pictures(plots: Mapping[str, tuple[Path, Path]]) -> dict[str, Picture]:
    found = {}
    for name, (_, svg) in plots.items():
        data = base64.b64encode(svg.read_bytes()).decode()
        found[name] = Picture(name, _ALTERNATIVES[name], f"data:image/svg+xml;base64,{data}")
    return found
