"""Event logs of pattern searches that never ran, for reports over many runs."""

import random
from pathlib import Path

from aira_jax.search.log.events import EventLog, Kind

TASKS = {2: "NeuralArchitectureSearchMAD2PrimitivesAccuracy", 3: "NeuralArchitectureSearchMAD3PrimitivesMbAccuracy"}
PRIMITIVES = {2: ("A", "M"), 3: ("Mb", "M", "A")}


def write(
    workdir,
    *,
    patterns=0,
    fixed=(),
    scores=(),
    seed=0,
    space=2,
    agent="greedy-opus",
    task=None,
    lower_is_better=False,
    profile="smoke",
):
    """A run over `fixed` patterns (with `scores`, or falling by 0.1), or random ones: near an alternation is good.

    Returns `workdir`.
    """
    task = task or TASKS[space]
    folder = Path(workdir) / task / agent.replace("/", "_") / f"seed_{seed}"
    log = EventLog(folder, fsync=False)
    head = {"task": task, "task_sha": "", "profile": profile, "agent": agent, "seed": seed}
    config = {**head, "llm": {"backend": "anthropic", "model": "m"}, "policy": {"name": "greedy"}, "eval": {}}
    log.append(
        Kind.RUN_START, run_id="0", lower_is_better=lower_is_better, metric="M", code_version="1",
        config=config | {"budget": {}}, **head,
    )  # fmt: skip
    log.append(Kind.SESSION_START, pid=1, host="h", resumed=False, purpose="search", config_changes={})
    falling = (0.9 - 0.1 * i for i in range(len(fixed)))
    steps = list(zip(fixed, scores or falling, strict=True))
    for node, (text, value) in enumerate(steps or _random(patterns, seed, PRIMITIVES[space])):
        _step(log, node, text, value)
    log.append(Kind.STOP, reason="steps", detail="")
    log.close()
    return Path(workdir)


def _random(count, seed, primitives):
    rng = random.Random(seed)
    for i in range(count):
        ideal = [primitives[layer % len(primitives)] for layer in range(16)]
        layers = [p if rng.random() < 0.6 else rng.choice(primitives) for p in ideal]
        same = sum(p == q for p, q in zip(layers, ideal, strict=True))
        yield "-".join(layers), round(0.3 + 0.03 * same + 0.001 * i, 4)


def _step(log, node, text, value):
    log.append(Kind.ACTION, node=node, operator="draft", parents=[], meta={}, rng=[0, 0, node], committed_upto=node - 1)
    files = {"submission.csv": f"architecture\n{text}\n"}
    log.append(Kind.CANDIDATE, node=node, plan="", files=files, sha="s", key=text, edit_mode="full", parse_error=None,
               duplicate_of=None)  # fmt: skip
    proxy = {"seed": 12345, "score": value, "macro": value / 2, "loss": 1.0, "tasks": {}, "cached": False, "key": text,
             "dtype": "float32", "device": "cpu", "versions": {"jax": "0.10.2", "numpy": "2.4.6"}}  # fmt: skip
    outcome = {"value": value, "seed": 0, "extra": {"proxy": proxy | {"revision": 1}}}
    log.append(Kind.EXEC_END, node=node, phase="score_validation", seed=0, wall_s=2.0, cpu_s=2.0, device_s=2.0,
               peak_bytes=0, output_blob=None, result=outcome, status="ok", failure_class=None, exit_code=0,
               signal=None, head="", tail="")  # fmt: skip
    log.append(Kind.NODE, node=node, fitness_source="evaluator", failure_class=None, message="", status="good",
               fitness=value)  # fmt: skip
