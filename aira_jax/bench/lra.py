"""The measurements of scripts/bench_lra.py, each a function that returns rows of plain numbers."""

import dataclasses
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aira_jax.bench import s5_peer as peers
from aira_jax.bench.lra_subjects import Subject, subject
from kernels_pallas.common.timing import Seconds, interleaved, median, timed
from lra import designs, settings
from lra.data import build, store

PEER_CPU_S = 1.64  # the peer's own train step at this shape, a shared core of the class used here, July 2026
TARGET = 1.0
PIPELINE_TARGET = 0.05
SMOKE_TARGET_S = 90.0
PROGRAMS_TARGET = 1.03
_WAYS, _KINDS = ("direct", "programs"), ("cpu", "wall")

Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Plan:
    """`rounds` of each call; `checkout` of the peer, where there is one."""

    rounds: int = 5
    checkout: Path | None = None


def s5(plan: Plan) -> list[Row]:
    """CPU seconds of a step of our S5 at the peer's ListOps shape, 16 x 2000 tokens, and their ratio to the peer's."""
    shape = settings.defaults("listops").replace(emb_dim=128, num_layers=8)
    ours = subject("listops", "s5", shape)
    calls = {"ours": ours.step()}
    if plan.checkout is not None:
        calls["peer"], size = peers.step(plan.checkout, shape.batch_size, shape.max_length)
    found = {name: median(values) for name, values in interleaved(calls, plan.rounds).items()}
    row = {"params": ours.params, "tokens": ours.tokens, **_seconds("ours", found["ours"])}
    row |= {"peer_published_cpu_s": PEER_CPU_S, "ratio_to_published": found["ours"].cpu / PEER_CPU_S, "target": TARGET}
    if plan.checkout is not None:
        row |= {"peer_params": size, **_seconds("peer", found["peer"])}
        row["ratio_same_run"] = found["ours"].cpu / found["peer"].cpu
    return [row]


def _seconds(name: str, value: Seconds) -> Row:
    return {f"{name}_cpu_s": value.cpu, f"{name}_wall_s": value.wall}


def pipeline(plan: Plan) -> list[Row]:
    """Share of a step that making its batch takes on the host: the smoke transformer, and S5 at 2000 tokens."""
    smoke = settings.profile("listops", "smoke")
    long = settings.defaults("listops").replace(emb_dim=128, num_layers=8)
    with tempfile.TemporaryDirectory() as folder:
        short_rows = _rows(Path(folder) / "short", build.Profile.SMOKE, 20_000)
        long_rows = _rows(Path(folder) / "long", build.Profile.OFFICIAL, 2_000)
        return [
            _share(
                "transformer, smoke", subject("listops", "transformer", smoke.settings, smoke.options), short_rows, plan
            ),
            _share("s5, 16 x 2000", subject("listops", "s5", long), long_rows, plan),
        ]


def _rows(folder: Path, profile: build.Profile, count: int) -> store.Split:
    request = build.Request(build.Task.LISTOPS, profile=profile, train=count, validation=10, test=10)
    return build.make(request, folder).split("train")


def _share(name: str, subject: Subject, rows: store.Split, plan: Plan) -> Row:
    chosen, updates = subject.programs.steps.job.settings, iter(range(1_000_000))

    def batch() -> Any:
        made = rows.batch_at(chosen.random_seed, next(updates), chosen.batch_size, chosen.max_length)
        return subject.programs.steps.place(made)

    step = median(interleaved({"step": subject.step()}, plan.rounds)["step"])
    made = median([timed(batch) for _ in range(10 * plan.rounds)])
    share = made.wall / step.wall
    return {"subject": name, "batch_s": made.wall, "step_s": step.wall, "share": share, "target": PIPELINE_TARGET}


def each_design(plan: Plan) -> list[Row]:
    """Updates and tokens per second of every design and baseline at the smoke profile of its task."""
    rows = []
    for name, task in {row.design: row.task for row in reversed(designs.PUBLISHED)}.items():
        made = subject(task, name, settings.profile(task, "smoke").settings)
        step = median(interleaved({name: made.step()}, plan.rounds)[name])
        speed = {"steps_per_s": 1 / step.wall, "tokens_per_s": made.tokens / step.wall, "cpu_s": step.cpu}
        rows.append({"design": name, "task": task, "params": made.params, **speed})
    return rows[::-1]


def exported(plan: Plan) -> list[Row]:
    """A step by exported programs, which evaluations train, over a step of the model's own code, in one run."""
    chosen = settings.profile("listops", "smoke")
    model = ("listops", chosen.model, chosen.settings, chosen.options)
    pair = {way: subject(*model, exported=way == "programs") for way in _WAYS}
    times = interleaved({way: made.step() for way, made in pair.items()}, 20 * plan.rounds)
    found = {way: median(values) for way, values in times.items()}
    ratios = {f"ratio_{kind}": getattr(found["programs"], kind) / getattr(found["direct"], kind) for kind in _KINDS}
    step = {f"{way}_cpu_s": value.cpu for way, value in found.items()}
    return [{"subject": f"{chosen.model}, smoke", **step, **ratios, "target": PROGRAMS_TARGET}]


def smoke(plan: Plan) -> list[Row]:
    """A whole evaluation of a submission at the smoke profile: process start to report, 1500 updates."""
    del plan
    with tempfile.TemporaryDirectory() as folder:
        data, work = Path(folder) / "data", Path(folder) / "run"
        build.make(build.Request(build.Task.LISTOPS, profile=build.Profile.SMOKE), data)
        command = [sys.executable, "-m", "aira_jax", "lra_train", "--config=lra:listops"]
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        arguments = [*command, f"--data={data}", f"--workdir={work}"]
        done = subprocess.run(arguments, capture_output=True, text=True)
        wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"the smoke run ended with {done.returncode}:\n{done.stderr}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    accuracy = json.loads(done.stdout.splitlines()[-1])["test_accuracy"]
    return [{"wall_s": wall, "cpu_s": cpu, "target_wall_s": SMOKE_TARGET_S, "test_accuracy": accuracy}]


PARTS: dict[str, Callable[[Plan], list[Row]]] = {
    "s5": s5,
    "pipeline": pipeline,
    "designs": each_design,
    "programs": exported,
    "smoke": smoke,
}
