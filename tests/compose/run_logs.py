"""Event logs of searches that never ran, short ones, for everything that reads many runs."""

import json
from pathlib import Path

from aira_jax.search.log.events import EventLog, Kind

MAD2 = "NeuralArchitectureSearchMAD2PrimitivesAccuracy"
MAD3 = "NeuralArchitectureSearchMAD3PrimitivesMbAccuracy"


def result(value, seed=0, loss=1.0, data_seed=12345):
    proxy = {"seed": data_seed, "score": value, "macro": value / 2, "loss": loss, "tasks": {"memorization": value}}
    return {"value": value, "seed": seed, "extra": {"proxy": {**proxy, "cached": False, "key": "k", "revision": 1}}}


def write(
    workdir,
    steps,
    *,
    agent="greedy-opus",
    seed=0,
    task=MAD2,
    profile="smoke",
    lower_is_better=False,
    submitted=None,
    backend="anthropic",
    width_scaling=False,
    eval_seeds=1,
):
    """A run of `steps`, each (pattern text, validation or None, {evaluator seed: test}[, loss]). Returns its folder."""
    folder = Path(workdir) / task / agent / f"seed_{seed}"
    log = EventLog(folder, fsync=False)
    config = {
        "task": task,
        "agent": agent,
        "seed": seed,
        "profile": profile,
        "llm": {"backend": backend, "model": "m"},
        "policy": {"name": "greedy"},
        "eval": {"seeds": eval_seeds, "hidden_seed": None, "width_scaling": width_scaling},
        "budget": {},
    }
    head = {"task": task, "task_sha": "", "profile": profile, "agent": agent, "seed": seed, "config": config}
    log.append(Kind.RUN_START, run_id="0", lower_is_better=lower_is_better, metric="M", code_version="1", **head)
    log.append(Kind.SESSION_START, pid=1, host="h", resumed=False, purpose="search", config_changes={})
    for node, step in enumerate(steps):
        _step(log, node, *step[:2], loss=step[3] if len(step) > 3 else 1.0)
    if submitted is not None:
        log.append(Kind.SUBMIT, node=submitted, rule="best_validation", fitness=steps[submitted][1])
    log.append(Kind.STOP, reason="steps", detail="")
    for node, step in enumerate(steps):
        for test_seed, value in (step[2] if len(step) > 2 else {}).items():
            loss = step[3] if len(step) > 3 else 1.0
            _execution(log, node, "score_test", test_seed, result(value or 0.0, test_seed, loss))
            status = {"value": value, "status": "fail" if value is None else "ok", "failure_class": None}
            log.append(Kind.TEST_RESULT, node=node, seed=test_seed, wall_s=1.0, device_s=1.0, **status)
    log.close()
    return folder


def _step(log, node, text, value, loss):
    log.append(Kind.ACTION, node=node, operator="draft", parents=[], meta={}, rng=[0, 0, node], committed_upto=node - 1)
    files = {} if text is None else {"submission.csv": f"architecture\n{text}\n"}
    error = "no file" if text is None else None
    log.append(Kind.CANDIDATE, node=node, plan=f"idea {node}", files=files, sha="s", key=text, edit_mode="full",
               parse_error=error, duplicate_of=None)  # fmt: skip
    if value is not None:
        _execution(log, node, "score_validation", 0, result(value, loss=loss))
    outcome = {"status": "failed" if text is None else "buggy" if value is None else "good", "fitness": value}
    log.append(Kind.NODE, node=node, fitness_source="evaluator", failure_class=None, message="", **outcome)


def _execution(log, node, phase, seed, outcome):
    facts = {"status": "ok", "failure_class": None, "exit_code": 0, "signal": None, "head": "", "tail": ""}
    log.append(Kind.EXEC_END, node=node, phase=phase, seed=seed, wall_s=2.0, cpu_s=2.0, device_s=2.0, peak_bytes=0,
               output_blob=None, result=outcome, **facts)  # fmt: skip


def printed(text):
    """The JSON object that a script printed on its last line."""
    return json.loads(text.strip().splitlines()[-1])
