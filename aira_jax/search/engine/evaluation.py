"""From a candidate's files to its fitness: static check, then the task's own evaluator (or the candidate's word)."""

import dataclasses
import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from aira_jax.core.failures import Failure
from aira_jax.proxies.fidelity import Signal
from aira_jax.sandbox.base import Mount
from aira_jax.sandbox.failures import Program
from aira_jax.sandbox.workdir import clear
from aira_jax.search.engine.executions import Executor, Phase, Slot, is_infra, was_conclusive
from aira_jax.search.log.events import Record
from aira_jax.search.log.tree import Node, NodeStatus, Tree, resolve, signal_of
from aira_jax.search.operators.analysis import Analysis
from aira_jax.search.operators.requests import Fitness
from aira_jax.search.settings import SandboxSettings
from aira_jax.tasks import client
from aira_jax.tasks.client import PREDICTIONS, Call
from aira_jax.tasks.evaluation import Isolation
from aira_jax.tasks.fitting import script_files
from aira_jax.tasks.mounts import Prepared

INFRA_TRIES = 2
PASSED = {
    "wall": "time",
    "cpu": "processor time",
    "memory": "memory",
    "processes": "processes",
    "disk": "disk space",
}  # killed_for, in words


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a node is worth: the members of its commit."""

    status: NodeStatus
    fitness: float | None = None
    fitness_source: str | None = None
    failure_class: str | None = None
    message: str = ""
    signal: float | None = None


class Recorded:
    """The executions of a node that are on record, each used once, in order: how a resumed node skips what is done."""

    def __init__(self, ends: Sequence[Record] = ()):
        self._ends = [end for end in ends if was_conclusive(end)]

    def take(self, phase: str, seed: int) -> Record | None:
        for end in self._ends:
            if (end["phase"], end["seed"]) == (phase, seed):
                self._ends.remove(end)
                return end
        return None

    def holds(self, phase: str, seed: int) -> bool:
        return any((end["phase"], end["seed"]) == (phase, seed) and not is_infra(end) for end in self._ends)

    def forget(self, phase: str, seed: int) -> None:
        """Drops good ends whose product is gone."""
        self._ends = [end for end in self._ends if (end["phase"], end["seed"], end["status"]) != (phase, seed, "ok")]


class Evaluator:
    """Evaluates candidates of one task. Every method returns exec_end records or an Outcome and blocks meanwhile.

    `hidden` are folders besides the labels that no candidate may reach (the run's own).
    """

    def __init__(
        self,
        task,
        *,
        profile: str,
        fitness: Fitness,
        limits: SandboxSettings,
        prepared: Prepared,
        executor: Executor,
        scratch: Path,
        hidden: Sequence[Path] = (),
    ):
        self.task, self.profile, self.fitness = task, profile, fitness
        self.prepared, self.executor = prepared, executor
        self._limits, self._scratch, self._hidden = limits, scratch, tuple(hidden)

    def run(self, node: int, files: Mapping[str, str], seeds: Sequence[int], recorded: Recorded) -> "Measurement":
        """Runs all that a fitness needs; stops at the first phase that fails."""
        with self.executor.slots.hold() as slot:
            return self._measure(slot, node, files, seeds, recorded)

    def score(self, node: int, files: Mapping[str, str], *, split: str, seed: int, recorded: Recorded) -> Record:
        """One scoring of complete files on a split: the last exec_end (the score's, or the fit's that failed)."""
        with self.executor.slots.hold() as slot:
            return self._score(slot, node, files, split, seed, recorded)

    def _measure(self, slot: Slot, node: int, files, seeds: Sequence[int], recorded: Recorded) -> "Measurement":
        ends: list[Record] = []
        if self._must_run_candidate(files):
            ends.append(self._candidate(slot, node, files, recorded))
            if ends[-1]["status"] != "ok":
                return Measurement(tuple(ends))
            files = {**files, **self.exported(ends[-1])}
        if not self._upstream:  # else only the test labels could tell more than that the artifact is there
            ends.append(self._check(slot, node, files, recorded))
        if ends[-1]["status"] != "ok" or self.fitness is Fitness.SELF_REPORTED:
            return Measurement(tuple(ends))
        for seed in seeds:
            ends.append(self._score(slot, node, files, "validation", seed, recorded))
            if ends[-1]["status"] != "ok":
                break
        return Measurement(tuple(ends))

    def exported(self, end: Record) -> dict[str, str]:
        """The files that the candidate's own run wrote."""
        kept = (end["result"] or {}).get("files", {})
        return {path: resolve(text, self.executor.blobs) for path, text in kept.items()}

    def exported_by(self, measured: "Measurement") -> dict[str, str]:
        """The files that the candidate's own run wrote, none when it was not run."""
        ends = [end for end in measured.ends if end["phase"] == "candidate"]
        return self.exported(ends[-1]) if ends else {}

    @property
    def _upstream(self) -> bool:
        """Whether the task has the original command line: one flag, the test split, a printed result block."""
        return self.task.cli < 2

    def _must_run_candidate(self, files: Mapping[str, str]) -> bool:
        if self.fitness is Fitness.SELF_REPORTED:
            return True
        return self.task.artifact not in files and bool(self.task.entry) and self.task.entry in files

    def _candidate(self, slot: Slot, node: int, files, recorded: Recorded) -> Record:
        phase = self._phase(node, "candidate", 0, files, split="validation", program=Program.CANDIDATE)
        script = self.task.entry or self.task.artifact
        keep = tuple(self.task.export_globs) or (self.task.artifact,)
        phase = dataclasses.replace(
            phase, argv=(sys.executable, script), limit_s=self._limit("fit_s"), keep=keep, artifact=self.task.artifact
        )
        return self._run(slot, phase, recorded)

    def _check(self, slot: Slot, node: int, files, recorded: Recorded) -> Record:
        phase = self._phase(node, "check", 0, files, split="validation", program=Program.TRUSTED, stage="check")
        return self._run(slot, dataclasses.replace(phase, limit_s=self._limit("check_s"), mounts=()), recorded)

    def _score(self, slot: Slot, node: int, files, split: str, seed: int, recorded: Recorded) -> Record:
        score = self._phase(node, f"score_{split}", seed, files, split=split, program=Program.TRUSTED, stage="all")
        if not self.task.executes_candidate:
            return self._run(slot, score, recorded)
        predictions = self._scratch / f"{node:04d}-{split}-{seed}"
        fit_s = self._limit("fit_s")
        fit = self._phase(node, f"fit_{split}", seed, files, split=split, program=Program.FIT)
        argv, visible = self._argv(split, "fit", seed, fit_s), script_files(self.task.folder)
        fit = dataclasses.replace(fit, argv=argv, visible=visible, limit_s=fit_s, carry=predictions)
        if exported := self.task.isolation is Isolation.PROGRAMS:
            unseen = tuple(mount.source for mount in fit.mounts)
            fit = dataclasses.replace(fit, mounts=(), hidden=(*fit.hidden, *unseen))
        if not predictions.is_dir():
            recorded.forget(fit.phase, seed)
        if not recorded.holds(score.phase, seed):
            end = self._run(slot, fit, recorded)
            if end["status"] != "ok":
                return end
        mounts = (*score.mounts, Mount(predictions, PREDICTIONS))
        limit_s = score.limit_s + exported * fit_s  # where the fit exports programs, the score trains
        argv = self._argv(split, "score", seed, limit_s, fit_s if exported else None)
        end = self._run(slot, dataclasses.replace(score, argv=argv, limit_s=limit_s, mounts=mounts), recorded)
        clear(predictions)
        return end

    def _run(self, slot: Slot, phase: Phase, recorded: Recorded) -> Record:
        """A phase, from the record or for real; a defect of the evaluator itself gets a second try."""
        for _ in range(INFRA_TRIES):
            end = recorded.take(phase.phase, phase.seed) or self.executor.run(slot, phase)
            if not is_infra(end):
                break
        return end

    def _phase(self, node: int, name: str, seed: int, files, *, split: str, program: Program, stage: str = "") -> Phase:
        limit_s = self._limit("score_s")
        return Phase(
            node=node,
            phase=name,
            seed=seed,
            argv=self._argv(split, stage, seed, limit_s),
            limit_s=limit_s,
            memory_gb=self._limits.memory_gb or self.task.limits["memory_gb"],
            files=files,
            mounts=self.prepared.mounts(split, trusted=program is Program.TRUSTED),
            program=program,
            hidden=(*self.prepared.hidden, *self._hidden),
            printed_metric=self.task.metric if self._upstream and program is Program.TRUSTED else None,
        )

    def _argv(
        self, split: str, stage: str, seed: int, limit_s: float, train_limit_s: float | None = None
    ) -> tuple[str, ...]:
        call = Call(
            self.task.folder / "evaluate.py",
            self.task.artifact,
            self.profile,
            split,
            stage,
            seed=seed,
            limit_s=limit_s,
            train_limit_s=train_limit_s,
            upstream=self._upstream,
        )
        return call.argv

    def _limit(self, name: str) -> float:
        return getattr(self._limits, name) or float(self.task.limits[name])


@dataclasses.dataclass(frozen=True)
class Measurement:
    """The executions behind a node, in order; the last one decides."""

    ends: tuple[Record, ...]

    @property
    def last(self) -> Record:
        return self.ends[-1]

    def outcome(self, signal: Signal = Signal.METRIC) -> Outcome:
        """Good iff every score, and every `signal` beside it, is finite: their means. Otherwise the class and message
        of what failed."""
        if self.last["status"] != "ok" or self.last["failure_class"]:
            return failure(self.last)
        scores = [end for end in self.ends if end["phase"] == "score_validation"]
        values = [(end["result"] or {}).get("value") for end in scores]
        if not values or not all(isinstance(value, int | float) and math.isfinite(value) for value in values):
            return Outcome(NodeStatus.BUGGY, failure_class=Failure.NAN, message="the evaluator gave no finite value")
        fitness = statistics.fmean(values)
        if signal is Signal.METRIC:
            return Outcome(NodeStatus.GOOD, fitness, Fitness.EVALUATOR)
        signals = [signal_of(end, signal) for end in scores]
        if None in signals:
            message = f"the evaluator gave no finite {signal}, by which config.eval.signal steers"
            return Outcome(NodeStatus.BUGGY, failure_class=Failure.NAN, message=message)
        return Outcome(NodeStatus.GOOD, fitness, Fitness.EVALUATOR, signal=statistics.fmean(signals))

    def judged(self, analysis: Analysis) -> Outcome:
        """The outcome by the candidate's own report, as an analyst read it."""
        if self.last["status"] != "ok" or self.last["failure_class"]:
            return failure(self.last)
        if analysis.is_bug or analysis.metric is None or not math.isfinite(analysis.metric):
            return Outcome(NodeStatus.BUGGY, failure_class=Failure.INTERFACE, message=analysis.summary)
        return Outcome(NodeStatus.GOOD, float(analysis.metric), Fitness.SELF_REPORTED)


def failure(end: Record) -> Outcome:
    """What a failed execution means for its node. The candidate is not blamed for tampering's or the harness's ends."""
    blameless = end["failure_class"] in (Failure.INFRA, Failure.TAMPER)
    status = NodeStatus.FAILED if blameless else NodeStatus.BUGGY
    message = client.message(end["result"]) or ending(end)
    return Outcome(status, failure_class=end["failure_class"] or Failure.EXIT, message=message)


def ending(end: Record) -> str:
    """How an execution ended, in one line: the limit that it passed, else the last line of output that says something,
    else its exit code."""
    if end["killed_for"] in PASSED:
        return (
            f"{end['phase']} was killed after {end['wall_s']:.1f} s: it passed its limit of {PASSED[end['killed_for']]}"
        )
    lines = [line.strip() for line in (end["tail"] or end["head"]).splitlines() if line.strip()]
    if lines and end["status"] != "ok":
        return lines[-1][:500]
    if end["status"] == "ok":
        return f"{end['phase']} ended well, but without what it must write"
    return f"{end['phase']} ended with exit code {end['exit_code']}, signal {end['signal']}"


def duplicate(key: str, view: Tree) -> Node | None:
    """The first good node in view with this candidate."""
    return next((node for node in view.good if node.key == key), None)
