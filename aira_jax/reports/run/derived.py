"""Everything in a run directory that can be rebuilt from its event log and blobs."""

import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from aira_jax.core.files import write_atomically
from aira_jax.reports.run import html
from aira_jax.reports.run.diff import diff
from aira_jax.runs.view import NodeView, RunView
from aira_jax.search.log import events

REPORT = "report.html"


def rebuild(run_dir: Path | str, max_bytes: int = html.MAX_BYTES) -> Path:
    """Write config.json, nodes/, best/, submission/ and report.html anew from events.jsonl and blobs/ alone.

    The same log gives the same bytes. `max_bytes` bounds the text shown in the report (the folders hold all of it).
    Returns the path of report.html. Raises ValueError when `run_dir` holds no run or cannot be written, DamagedLog
    when the log cannot be trusted.
    """
    run_dir = Path(run_dir)
    run = RunView.read(run_dir)
    try:
        write_atomically(run_dir / "config.json", _json(run.config).encode(errors="replace"), durable=False)
        _replace(run_dir / "nodes", _all_node_files(run))
        _replace(run_dir / "best", run.best.node.files.items() if run.best else ())
        _replace(run_dir / "submission", run.submitted.node.files.items() if run.submitted else ())
        page = html.render(run, max_bytes=max_bytes)
        write_atomically(run_dir / REPORT, page.encode(errors="replace"), durable=False)
    except OSError as error:
        raise events.WriteFailed(Path(error.filename or run_dir), error) from error
    return run_dir / REPORT


def _all_node_files(run: RunView) -> Iterator[tuple[str, str]]:
    for view in run.nodes:
        for path, text in node_files(view, run).items():
            yield f"{view.node.id:04d}/{path}", text


def node_files(view: NodeView, run: RunView) -> dict[str, str]:
    """The folder of one node: files/, calls/, plan.md, output.txt, diff.patch, result.json."""
    return {
        **{f"files/{path}": text for path, text in view.node.files.items()},
        **dict(_calls(view)),
        "plan.md": view.node.plan,
        "output.txt": view.output,
        "diff.patch": diff(run.parent_files(view), view.node.files),
        "result.json": _json(view.result),
    }


def _calls(view: NodeView) -> Iterator[tuple[str, str]]:
    """What the model was asked and what it answered, whether it could be read or not."""
    for number, call in enumerate(view.calls):
        if call.prompt is not None:
            yield f"calls/{number}_{call.role}_prompt.txt", call.prompt.read_text("utf-8", "replace")
        yield f"calls/{number}_{call.role}_answer.txt", call.answer


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _replace(folder: Path, files: Iterable[tuple[str, str]]) -> None:
    """Make `folder` hold exactly `files`; an older folder stays until the new one is complete."""
    fresh = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    for path, text in files:
        write_atomically(fresh / _inside(path), text.encode(errors="replace"), durable=False)
    if folder.exists():
        shutil.rmtree(folder)
    fresh.rename(folder)


def _inside(path: str) -> PurePosixPath:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or not pure.parts:
        raise ValueError(
            f"the log names a candidate file outside its folder: {path!r}; it was not written by this program"
        )
    return pure
