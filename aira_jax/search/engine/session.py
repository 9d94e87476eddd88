"""Opening a run directory: who may write it, which settings hold, what a crash left over, which tools to use."""

import copy
import dataclasses
import functools
import hashlib
import importlib.metadata
import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aira_jax import __version__
from aira_jax import sandbox as sandboxes
from aira_jax.controls import outside
from aira_jax.core import machine
from aira_jax.core.files import differences, flatten
from aira_jax.core.machine import ROOT
from aira_jax.core.operators import Operator
from aira_jax.llm import control
from aira_jax.sandbox.base import GIB, Sandbox
from aira_jax.sandbox.process import kill_leftover
from aira_jax.sandbox.workdir import clear
from aira_jax.search import policies
from aira_jax.search.engine.evaluation import Evaluator
from aira_jax.search.engine.executions import Clock, Executor, Slots, make_slots, visible_devices
from aira_jax.search.engine.workers import Interrupts, WorkerPool
from aira_jax.search.log.events import EventLog, Kind, Record, WriteFailed, canonical
from aira_jax.search.log.journal import Control, Journal, Observer
from aira_jax.search.log.tree import Tree
from aira_jax.search.operators import prompts
from aira_jax.search.operators.requests import Compute, Fitness, installed_packages
from aira_jax.search.policies import PolicyConfig
from aira_jax.search.settings import Fsync, Settings, is_changeable
from aira_jax.tasks import mounts, sources
from aira_jax.tasks.compose.space import MIN_LAYERS, WIDTH_SCALING
from aira_jax.tasks.evaluation import Isolation
from aira_jax.tasks.mounts import Prepared
from aira_jax.tasks.task import Task

# What a run's identity leaves out: how far, how fast and where.
NOT_IDENTITY = ("budget.wall_s", "budget.device_s", "budget.steps", "budget.tokens", "budget.usd", "workers.", "paths.")


def data_root(settings: Settings) -> Path:
    """Where raw and prepared data lie; never below the cache, which evaluators may write."""
    return Path(settings.paths.data_root or "~/.local/share/aira_jax").expanduser()


def run_dir(workdir: str | os.PathLike, settings: Settings, task: Task) -> Path:
    """W/<task>/<agent>/seed_<k>."""
    return Path(workdir) / task.name / settings.agent_name / f"seed_{settings.seed}"


def run_id(config: Mapping[str, Any]) -> str:
    """First 10 hex digits of the sha256 of what a config determines."""
    kept = {
        key: value
        for key, value in flatten({**config, "task": Path(config["task"]).name}).items()
        if not key.startswith((*NOT_IDENTITY, "display.", "log.")) and key != "llm.path"
    }
    return hashlib.sha256(canonical(kept)).hexdigest()[:10]


def data_seed(settings: Settings, task: Task, records: Sequence[Record]) -> int | None:
    """What the rows of a run are drawn from, None = the public seed; `records` are those of its log so far.

    config.eval.hidden_seed, else a secret of the run where rows are generated and candidates are code: it is drawn once
    and kept in run_start. Runs of older versions have none, and public data sets keep their rows.
    """
    if settings.eval.hidden_seed is not None or not has_secret_rows(task):
        return settings.eval.hidden_seed
    return records[0].get("data_seed") if records else secrets.randbits(63)


def has_secret_rows(task: Task) -> bool:
    """Whether each run draws rows of its own."""
    return task.executes_candidate and task.isolation is Isolation.PROGRAMS and task.corpus is None


def discard_secret_rows(settings: Settings, task: Task, drawn: int | None) -> None:
    """Removes rows that belong to one run, once it is done: its log keeps what makes them again, and no other run
    reads them.
    """
    if has_secret_rows(task) and settings.eval.hidden_seed is None and drawn is not None:
        own = settings.fitness is Fitness.SELF_REPORTED
        mounts.discard(task, settings.profile, data_root(settings), hidden_seed=drawn, self_reported=own)


class Session:
    """A run directory that this process writes: the journal and the tools around it. Close it in the end.

    `purpose` is "search" or "tests"; only a search counts on the run's wall clock. `sandbox` None: that of
    the settings. Observers are closed by whoever made them. `drawn`: the seed of the rows, from `data_seed`.
    """

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        task: Task,
        *,
        purpose: str,
        observers: Sequence[Observer] = (),
        sandbox: Sandbox | None = None,
        drawn: int | None = None,
    ):
        self.folder, self.settings, self.task, self.purpose, self.drawn = folder, settings, task, purpose, drawn
        self.slots_wanted = make_slots(settings.workers, exclusive=task.exclusive)
        wanted = settings.sandbox
        self._sandbox = sandbox or sandboxes.make(wanted.backend, wanted.require_isolation)
        self.log = EventLog(folder, fsync=settings.log.fsync is Fsync.ALWAYS)
        try:
            self.journal = Journal(self.log, observers)
        except ValueError:
            self.log.close()
            raise
        self._equip()

    def _equip(self) -> None:
        self.control = Control()
        self.slots = Slots(self.slots_wanted, self.control)

    def turn_to_tests(self) -> None:
        """What begins next is a session of test scoring; what the search left in the air stays called off."""
        self.control.cancel()
        self.purpose = "tests"
        self._equip()

    def begin(self, config: Mapping[str, Any]) -> None:
        """Writes what every session writes first; `config` are the settings as plain data.

        Raises ValueError when the run was begun with other settings or another version of its task.
        """
        tree = self.journal.tree
        corpus = self._corpus()
        changes = check_same(self.log.records, tree, config, self.task, corpus) if tree.run else {}
        self.log.restart_clock()
        if not tree.run:
            self.journal.append(Kind.RUN_START, **self._description(config), corpus=corpus)
        self.journal.append(
            Kind.SESSION_START,
            pid=os.getpid(),
            host=socket.gethostname(),
            resumed=bool(tree.run),
            purpose=self.purpose,
            config_changes=changes,
        )
        limits = self.settings.budget.limits
        if self.purpose == "search" and limits != self.journal.tree.limits:
            self.journal.append(Kind.BUDGET, limits=limits.to_json(), reason="changed by config.budget at resume")
        self._warn_unknown()
        self._end_leftovers()

    def _warn_unknown(self) -> None:
        unknown = sorted({record["kind"] for record in self.log.records} - set(Kind))
        if unknown:
            text = f"records of unknown kinds are ignored: {', '.join(unknown)}"
            self.journal.append(Kind.WARNING, code="unknown_kind", text=text)

    def end(self, reason: str) -> None:
        self.journal.append(Kind.SESSION_END, reason=reason, fingerprint=self.journal.tree.fingerprint())
        if not self.journal.tree.pending:
            clear(self.scratch)

    def close(self) -> None:
        self.control.cancel()
        self.journal.close()
        self.log.close()

    def pool(self, interrupts: Interrupts) -> WorkerPool:
        return WorkerPool(self.journal, self.control, interrupts)

    @functools.cached_property
    def clock(self) -> Clock:
        return Clock(self.journal)

    @property
    def scratch(self) -> Path:
        """Work directories of executions: beside the run, so that no candidate lives next to its log."""
        return self.folder.parents[2] / ".work" / "-".join(self.folder.parts[-3:])

    @property
    def cache(self) -> Path:
        """Where evaluators keep results."""
        named = self.settings.paths.cache_dir or os.environ.get("AIRA_JAX_CACHE")
        return Path(named).expanduser().resolve() if named else Path("~/.cache/aira_jax").expanduser()

    def evaluator(self, prepared: Prepared, *, clock: Clock | None) -> Evaluator:
        """An evaluator on this session's slots. `clock` None: on the test account, which no budget bounds."""
        try:
            self.cache.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WriteFailed(self.cache, error) from error
        executor = Executor(
            self._sandbox,
            self.journal,
            self.control,
            self.slots,
            scratch=self.scratch,
            env={"AIRA_JAX_CACHE": str(self.cache), "PYTHONPATH": str(ROOT), **self._programs(), **self._variant()},
            clock=clock,
            min_exec_s=self.settings.budget.min_exec_s,
            preallocate=self.settings.workers.slots_per_device == 1,
        )
        return Evaluator(
            self.task,
            profile=self.settings.profile,
            fitness=self.settings.fitness,
            limits=self.settings.sandbox,
            prepared=prepared,
            executor=executor,
            scratch=self.scratch,
            hidden=(self.folder.parents[2].resolve(), self.cache),
        )

    def _programs(self) -> dict[str, str]:
        """No compiled program is kept where candidates could reach the cache that holds them."""
        probe = getattr(self._sandbox, "probe", None)
        return {} if probe and probe().files else {"AIRA_JAX_PROGRAMS": "0"}

    def _variant(self) -> dict[str, str]:
        """What the evaluator must know of a search that asks for shorter or narrower models than the task's."""
        shortest = control.shortest(self.settings.options(Operator.DRAFT), self.task.space)
        scaled = {WIDTH_SCALING: "1"} if self.settings.eval.width_scaling else {}
        return scaled if shortest is None else {**scaled, MIN_LAYERS: str(shortest)}

    def _corpus(self) -> str | None:
        """Name and digest of the raw data from which a task is prepared, None for a task without any."""
        if self.task.corpus is None:
            return None
        return sources.choose(self.task.corpus, data_root(self.settings) / "raw").description

    def _description(self, config: Mapping[str, Any]) -> dict[str, Any]:
        compute = describe_machine(self.settings.workers.devices)
        return {
            "run_id": run_id(config),
            "task": self.task.name,
            "task_sha": self.task.sha,
            "metric": self.task.metric,
            "lower_is_better": self.task.lower_is_better,
            "validation_is_test": self.task.validation_is_test,
            "profile": self.settings.profile,
            "agent": self.settings.agent_name,
            "seed": self.settings.seed,
            "config": config,
            "policy_sha": policies.digest(self.settings.policy.name),
            "control_shas": outside.digests(self.settings.llm),
            "prompt_version": prompts.PROMPT_VERSION,
            "code_version": code_version(),
            **({"data_seed": self.drawn} if has_secret_rows(self.task) else {}),
            "host_info": {
                "devices": compute.devices,
                "cpus": compute.cpus,
                "ram": round(compute.ram_gb, 1),
                "jax": importlib.metadata.version("jax"),
            },
        }

    def _end_leftovers(self) -> None:
        """Kills executions of a session that died, and closes their records."""
        hosts = [record["host"] for record in self.log.records if record["kind"] == Kind.SESSION_START]
        for progress in list(self.journal.tree.progress.values()):
            for start in progress.open:
                if hosts[-2:-1] == hosts[-1:]:  # the session before this one ran here
                    kill_leftover(start["pid"], start["pid_starttime"])
                self.journal.append(Kind.EXEC_END, **_lost(start))


def _lost(start: Record) -> dict[str, Any]:
    return {
        **{key: start[key] for key in ("node", "phase", "seed")},
        **dict.fromkeys(("failure_class", "exit_code", "signal", "output_blob", "result", "killed_for")),
        **dict.fromkeys(("wall_s", "cpu_s", "device_s"), 0.0),
        "status": "lost",
        "peak_bytes": 0,
        "head": "",
        "tail": "",
    }


def check_same(
    records: Sequence[Record], tree: Tree, config: Mapping[str, Any], task, corpus: str | None = None
) -> dict[str, list[Any]]:
    """The permitted changes {key: [old, new]} of a config since the last session.

    Raises ValueError listing every key that may not change, with both values.
    """
    if tree.run["task_sha"] not in (task.sha, *task.older_shas):
        raise ValueError(
            f"task {task.name} has changed since this run began ({tree.run['task_sha'][:10]} is now {task.sha[:10]}), "
            "so its scores would not compare; restore the task or choose another --workdir"
        )
    if tree.run.get("corpus") != corpus:
        raise ValueError(
            f"this run was begun on the corpus {tree.run.get('corpus')}, now it is {corpus}, so its scores would not "
            f"compare; set {sources.variable(task.corpus)} and its like as they were, or choose another --workdir"
        )
    name = config.get("policy", {}).get("name", PolicyConfig.name)
    if tree.run.get("policy_sha") != policies.digest(name):
        raise ValueError(
            f"the file of config.policy.name={name} has changed since this run began, so its decisions could not be "
            "repeated; restore it or choose another --workdir"
        )
    began = tree.run.get("control_shas", {})
    if other := [b for b, sha in outside.digests(config.get("llm", {})).items() if began.get(b, sha) != sha]:
        raise ValueError(
            f"the file of config.llm.backend={', '.join(other)} has changed since this run began, so its proposals "
            "could not be repeated; restore it or choose another --workdir"
        )
    changes = differences(_complete(last_config(records)), _complete(config))
    fixed = {key: values for key, values in changes.items() if not is_changeable(key)}
    if tree.run.get("task") == task.name:  # the same task, in another place
        fixed.pop("task", None)
    if fixed:
        pairs = {key: [_written(value) for value in values] for key, values in fixed.items()}
        lines = [f"    config.{key}: {old} in the log, {new} now" for key, (old, new) in pairs.items()]
        raise ValueError(
            "this run was begun with another config:\n"
            + "\n".join(lines)
            + "\nuse the old values, or another --workdir, --config.agent or --config.seed for a new run"
        )
    return changes


def _complete(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config with every key: what one without a later key did is today's default."""
    complete = copy.deepcopy(plain(Settings()))
    _lay(complete, config)
    return complete


def _lay(under: dict[str, Any], over: Mapping[str, Any]) -> None:
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(under.get(key), dict):
            _lay(under[key], value)
        else:
            under[key] = value


def _written(value: Any) -> str:
    """A value as a user writes it: an enum's member is its word."""
    return repr(str(value) if isinstance(value, str) else value)


def last_config(records: Sequence[Record]) -> dict[str, Any]:
    """The config of the last session: the first one with every later change."""
    config: dict[str, Any] = {}
    for record in records:
        if record["kind"] == Kind.RUN_START:
            config = copy.deepcopy(record["config"])
        elif record["kind"] == Kind.SESSION_START:
            for key, (_, new) in record["config_changes"].items():
                *groups, name = key.split(".")
                functools.reduce(dict.__getitem__, groups, config)[name] = new
    return config


@functools.cache
def describe_machine(devices: str) -> Compute:
    """What prompts and logs say of this machine."""
    gpus = visible_devices(devices)
    ram = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    names = f"{len(gpus)} GPU(s), ids {', '.join(gpus)}" if gpus else "no accelerator"
    return Compute(names, machine.cores(), ram, installed_packages())


def code_version() -> str:
    """The package's version, and the commit when it runs from a clone."""
    commit = machine.commit()
    return f"{__version__}+{commit}" if commit else __version__


def plain(settings: Settings) -> dict[str, Any]:
    """The settings as the log holds them."""
    return dataclasses.asdict(settings)
