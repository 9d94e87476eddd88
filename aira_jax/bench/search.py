"""The harness measured by itself: a task that sleeps, a proposer that answers at once."""

import json
import math
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from aira_jax.search import run
from aira_jax.search.log import events
from aira_jax.search.log.events import EventLog, Kind
from aira_jax.search.log.tree import Tree
from aira_jax.tasks import loader, mounts

TASK = "NeuralArchitectureSearchMAD2PrimitivesAccuracy"
EVALUATOR = """
import json, pathlib, sys, time
flags = dict(zip(sys.argv[1::2], sys.argv[2::2]))
time.sleep({sleep_s} if flags["--stage"] == "all" else 0.0)
text = pathlib.Path(flags["--submission-file"]).read_text()
pathlib.Path(flags["--result-file"]).write_text(json.dumps({{"value": len(text) / 1000, "failure_class": None}}))
"""


def overhead(folder: Path, *, nodes: int, sleep_s: float) -> dict[str, float]:
    """Runs a search of `nodes` nodes on a real task whose evaluator only sleeps.

    overhead_s: wall seconds per node outside the evaluator's programs; harness_cpu_s and children_cpu_s: processor
    seconds per node of this process, and of all others (sandbox supervisors and the evaluator's interpreters).
    """
    task = _sleeping_task(folder / "task", sleep_s)
    config = {
        "policy": {"greedy": {"num_drafts": nodes}},
        "budget": {"steps": nodes, "min_exec_s": 0.0},
        "test": {"when": "never"},
        "dedupe": "rerun",
        "paths": {"data_root": str(folder / "data"), "cache_dir": str(folder / "cache")},
    }
    mounts.prepare(task, "smoke", folder / "data")
    before, start = os.times(), time.perf_counter()
    done = run.search(config, folder / "runs", task=task)
    wall_s, after = time.perf_counter() - start, os.times()
    records = events.read(done.folder)
    tree = Tree.fold(records, events.Blobs(done.folder / "blobs"))
    if len(tree.good) != nodes:
        raise RuntimeError(f"{nodes - len(tree.good)} of {nodes} nodes failed: {tree.nodes[0].message}")
    evaluated_s = sum(record["wall_s"] for record in records if record["kind"] == Kind.EXEC_END)
    own = after.user + after.system - before.user - before.system
    children = after.children_user + after.children_system - before.children_user - before.children_system
    return {
        "nodes": nodes,
        "wall_s": round(wall_s, 3),
        "overhead_s": round((wall_s - evaluated_s) / nodes, 4),
        "harness_cpu_s": round(own / nodes, 4),
        "children_cpu_s": round(children / nodes, 4),
    }


def _sleeping_task(folder: Path, sleep_s: float) -> Any:
    real = loader.load(TASK)
    folder.mkdir(parents=True)
    for name in ("prepare.py", "evaluate_prepare.py"):
        (folder / name).write_bytes((real.folder / name).read_bytes())
    (folder / "evaluate.py").write_text(EVALUATOR.format(sleep_s=sleep_s))
    members = {name: getattr(real, name) for name in dir(real) if not name.startswith("_")}
    return SimpleNamespace(**{**members, "folder": folder})


def fold(folder: Path, *, nodes: int) -> dict[str, float]:
    """Writes a log of `nodes` nodes with all their records, reads it and folds it."""
    log = EventLog(folder, fsync=False)
    log.append(Kind.RUN_START, task=TASK, lower_is_better=False, config={"budget": {"steps": nodes}})
    log.append(Kind.SESSION_START, purpose="search", config_changes={})
    for node in range(nodes):
        _write_node(log, node)
    log.close()
    start, cpu = time.perf_counter(), time.process_time()
    tree = Tree.fold(events.read(folder), log.blobs)
    wall_s, cpu_s = time.perf_counter() - start, time.process_time() - cpu
    assert len(tree.good) == nodes
    sizes = {"fold_nodes": nodes, "fold_records": len(log.records)}
    return {**sizes, "fold_s": round(wall_s, 4), "fold_cpu_s": round(cpu_s, 4)}


def _write_node(log: EventLog, node: int) -> None:
    text = json.dumps({"layers": "AM" * 500})
    parents = [node - 1] if node % 5 else []
    log.append(Kind.ACTION, node=node, operator="improve" if parents else "draft", parents=parents, meta={})
    log.append(Kind.LLM_REQUEST, node=node, role="propose", attempt=0, prompt_sha=None)
    log.append(
        Kind.LLM_RESULT, node=node, role="propose", attempt=0, text=text, usage={"input": 9}, usd=0.1, error=None
    )
    log.append(Kind.CANDIDATE, node=node, plan="a plan", files={"a.py": text}, sha=f"{node:064x}", duplicate_of=None)
    for phase in ("check", "score_validation"):
        log.append(Kind.EXEC_START, node=node, phase=phase, seed=0)
        result = {"value": math.sin(node), "curve": [[i, i / 7] for i in range(20)]}
        log.append(Kind.EXEC_END, node=node, phase=phase, seed=0, status="ok", head=text, tail="", result=result)
    log.append(Kind.ANALYSIS, node=node, source="rule", is_buggy=False, summary="it worked", reported_metric=None)
    log.append(Kind.NODE, node=node, status="good", fitness=math.sin(node), failure_class=None, message="")
