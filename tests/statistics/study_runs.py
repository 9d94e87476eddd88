"""Event logs of searches that never ran, through the project's own writer, and small task folders for them."""

import dataclasses
from pathlib import Path

import yaml

from aira_jax.search.log.events import EventLog, Kind

LISTOPS = "LongContextReasoningLRAListOpsAccuracy"
CONFIGURABLE = "LongContextReasoningLRAListOpsConfigurableAccuracy"
TEXT = "LongContextReasoningLRATextAccuracy"
MAD = "NeuralArchitectureSearchMADToyAccuracy"
LOSS = "NeuralArchitectureSearchLossToyLoss"
SCALES = {  # task: metric, lower is better, optimum, best known, worst
    LISTOPS: ("Accuracy", False, 1.0, 0.6379, 0.10),
    CONFIGURABLE: ("Accuracy", False, 1.0, 0.6379, 0.10),
    TEXT: ("Accuracy", False, 1.0, 0.9053, 0.50),
    MAD: ("Accuracy", False, 1.0, float("nan"), None),
    LOSS: ("Loss", True, 0.0, float("nan"), None),
}
MODEL = "EMB_DIM = 2**5\nLR = {lr}\n\n\nclass CustomEncoder:\n    pass\n"


@dataclasses.dataclass(frozen=True)
class Node:
    """A step: its fitness (None: it failed with `failure`), its test score if it was tested (`tested`)."""

    fitness: float | None
    test: float | None = None
    tested: bool = True
    failure: str = "nan"
    plan: str = "A plan. With a second sentence."
    files: dict = dataclasses.field(default_factory=lambda: {"model.py": "x = 1\n"})
    settings: dict | None = None
    extra: dict = dataclasses.field(default_factory=dict)
    usd: float | None = 0.5


def write_tasks(folder: Path) -> Path:
    """Task folders of the names above, complete enough to be loaded; returns `folder`."""
    (folder / "older.json").write_text("{}")
    for name, (metric, lower, optimum, sota, worst) in SCALES.items():
        own = folder / name
        (own / "starter").mkdir(parents=True)
        problem = next(p for p in ("LongContextReasoning", "NeuralArchitectureSearch") if name.startswith(p))
        info = dict.fromkeys(
            ("category", "output_type", "config", "train_split", "test_split", "scoring_column", "dataset_paper_url"),
            "x",
        )
        info |= {
            "name": name,
            "research_problem": problem,
            "dataset": name.removeprefix(problem).removesuffix(metric),
            "metric": metric,
            "input_columns": ["x"],
            "custom_gold_labels": True,
            "custom_rad_class": True,
            "sota": [{"sota_paper_url": "x", "sota_score": sota}],
            "optimal_score": optimum,
            "estimated_worst_score": worst,
        }
        extension = {
            "cli": 2,
            "artifact": "model.py",
            "editable": ["*.py"],
            "starter": [],
            "executes_candidate": True,
            "exclusive": False,
            "validation_is_test": False,
            "limits": {"check_s": 1, "fit_s": 1, "score_s": 1, "memory_gb": 1},
            "profiles": {"smoke": {}, "paper": {}},
            "interface": "x",
        }
        metadata = {
            "metric_lower_is_better": lower,
            "file_export_globs": ["model.py"],
            "container_python_requirements": [],
            "evaluate_container_python_requirements": [],
            "logging_info": info,
            "aira_jax": extension,
        }
        (own / "metadata.yaml").write_text(yaml.safe_dump(metadata))
        (own / "project_description.md").write_text("# Overview\n")
    return folder


def write(
    workdir,
    nodes,
    *,
    task=LISTOPS,
    agent="greedy-opus",
    backend="anthropic",
    scaffold="greedy",
    seed=0,
    profile="paper",
    submit=True,
    stop="steps",
    options=None,
    repeats=(),
    folder=None,
    **start,
):
    """A run over `nodes`: the best by fitness is submitted. Returns its directory.

    `submit` False: nothing is handed in. `stop` is its reason, "" for none. `options` are further config groups.
    """
    metric, lower, *_ = SCALES.get(task, ("Accuracy", False))
    folder = folder or Path(workdir) / task / agent / f"seed_{seed}"
    log = EventLog(folder, fsync=False)
    head = {"task": task, "task_sha": "t", "profile": profile, "agent": agent, "seed": seed}
    config = {**head, "llm": {"backend": backend, "model": "m"}, "policy": {"name": scaffold}, **(options or {})}
    about = {"lower_is_better": lower, "metric": metric, "run_id": "0", "code_version": "1", "config": config} | head
    log.append(Kind.RUN_START, **{key: value for key, value in (about | start).items() if value is not None})
    log.append(Kind.SESSION_START, pid=1, host="h", resumed=False, purpose="search", config_changes={})
    for id, node in enumerate(nodes):
        _step(log, id, node)
    good = [id for id, node in enumerate(nodes) if node.fitness is not None]
    if submit and good:
        best = min(good, key=lambda id: (nodes[id].fitness if lower else -nodes[id].fitness, id))
        log.append(Kind.SUBMIT, node=best, rule="best_validation", fitness=nodes[best].fitness)
    if stop:
        log.append(Kind.STOP, reason=stop, detail="")
    for id, node in enumerate(nodes):
        if node.fitness is not None and node.tested:
            _test(log, id, 0, node.test)
    for seed_of_test, value in enumerate(repeats, 1):
        _test(log, best, seed_of_test, value)
    log.close()
    return folder


def _step(log, id, node):
    log.append(Kind.ACTION, node=id, operator="draft", parents=[], meta={}, rng=[0, 0, id], committed_upto=id - 1)
    usage = {"input": 100, "output": 10}
    log.append(Kind.LLM_RESULT, node=id, role="propose", attempt=0, text="", usage=usage, usd=node.usd, error=None)
    files = {path: log.store(text) for path, text in node.files.items()}
    log.append(Kind.CANDIDATE, node=id, plan=node.plan, files=files, sha=str(id), edit_mode="full", parse_error=None,
               duplicate_of=None)  # fmt: skip
    good = node.fitness is not None
    extra = node.extra if node.settings is None else {**node.extra, "settings": node.settings}
    result = {"value": node.fitness, "seed": 0, "extra": extra} if good or extra else None
    log.append(Kind.EXEC_END, node=id, phase="score_validation", seed=0, status="ok" if good else "fail",
               failure_class=None if good else node.failure, wall_s=2.0, device_s=2.0, result=result)  # fmt: skip
    log.append(Kind.NODE, node=id, status="good" if good else "buggy", fitness=node.fitness,
               fitness_source="evaluator", failure_class=None if good else node.failure, message="")  # fmt: skip


def _test(log, id, seed, value):
    log.append(Kind.TEST_RESULT, node=id, seed=seed, value=value, status="fail" if value is None else "ok",
               failure_class=None, wall_s=1.0, device_s=1.0)  # fmt: skip
