"""A run's rows as lines for people."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lra.job import Job


def printer(job: Job) -> Callable[[Mapping[str, Any]], None]:
    """Prints the job, its warnings, and then rows as they come."""
    settings = ", ".join(f"{key} {value:g}" for key, value in dataclasses.asdict(job.settings).items())
    print(f"{job.task}, profile {job.profile}, model {job.model}: {settings}")
    for warning in job.warnings:
        print(f"warning: {warning}")

    def show(row: Mapping[str, Any]) -> None:
        if (text := line(row, job.settings.num_train_steps)) is not None:
            print(text, flush=True)

    return show


def ending(report: Mapping[str, Any], folder: Path) -> list[str]:
    """What a finished run says: sizes, warnings, accuracies beside baselines and published scores, where it lies."""
    sizes = f"{report['params']:,} parameters ({report['params_vs_transformer']:.2f} x the reference transformer's)"
    lines = [f"{report['data']}: {report['train_rows']:,} training rows, {sizes}"]
    lines += [f"warning: {warning}" for warning in report["warnings"]]
    for split, found in report["diagnostics"].items():
        lines += [f"{split}: {verdict}" for verdict in found["verdicts"]]
    for row in report["published"]:
        note = "not comparable: " if report["profile"] == "smoke" or report["surrogate"] else ""
        lines.append(f"published ({note}{row['setup']}, {row['source']}): {row['accuracy']:.4f} test")
    return [*lines, f"wrote {folder / 'report.json'} and {folder / 'plots'}"]


def line(row: Mapping[str, Any], total: int) -> str | None:
    """One line for an evaluation, a whole split or a warning; every tenth logged update; None for the others."""
    done = f"{row['step']:>{len(str(total))}}/{total}"
    match row["kind"]:
        case "warning":
            return f"warning: {row['text']}"
        case "eval":
            best = f"best {row['best_accuracy']:.4f} at {row['best_step']}"
            return f"{done}  validation subset: accuracy {row['accuracy']:.4f}  loss {row['loss']:.4f}  ({best})"
        case "full":
            return f"{done}  {row['split']} ({row['params']}): accuracy {row['accuracy']:.4f} of {row['rows']} rows"
        case "train" if row["step"] == 1 or row["step"] % 100 == 0:
            speed = f"{row['steps_per_s']:.3g} updates/s  {row['tokens_per_s']:,.0f} tokens/s"
            left = "" if row["step"] == 1 else f"  {span(row['eta_s'])} to go"
            return f"{done}  loss {row['loss']:.4f}  {speed}{left}"
    return None


def span(seconds: float) -> str:
    """0:42, 3:05:10."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
