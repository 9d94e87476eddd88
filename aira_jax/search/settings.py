"""The settings of a search, typed: every option, its default and its meaning, once.

`configs/search.py` turns them into an ml_collections config; `Settings.of` turns a config (or the one in a log) back.
"""

import dataclasses
import enum
import math
from collections.abc import Mapping
from typing import Any

from ml_collections import config_dict

from aira_jax import llm as llms
from aira_jax.core.files import flatten
from aira_jax.core.operators import Operator
from aira_jax.core.settings import blank, build, placeholders, plain
from aira_jax.proxies.fidelity import Signal
from aira_jax.search import policies
from aira_jax.search.engine.budget import Budget
from aira_jax.search.operators.requests import Fitness, MemoryOptions, PromptOptions
from aira_jax.search.policies import PolicyConfig

PROPOSERS = llms.PROPOSERS
FREE_DICTS = ("extra", "prices")  # config.llm.*: keys are the provider's, not ours

PLACE = ("workers.", "paths.", "log.", "display.", "llm.base_url", "llm.key_env", "llm.path")  # where a run runs
# What may differ when a run is continued: it changes what is spent and where, never what is proposed or measured.
CHANGEABLE = ("budget.", *PLACE)


class Dedupe(enum.StrEnum):
    """What becomes of a candidate that equals an earlier good one: its result, a new evaluation, or a new question.

    Two equal candidates are never evaluated at the same time: the later one waits, and REJECT too takes the result of a
    node that was pending when it was proposed.
    """

    REUSE = "reuse"
    RERUN = "rerun"
    REJECT = "reject"


class Order(enum.StrEnum):
    """FIFO: the same run for every timing. ASAP: the fastest; what is finished first is seen first."""

    FIFO = "fifo"
    ASAP = "asap"


class TestWhen(enum.StrEnum):
    """SUBMITTED: the submitted node. AFTER: also every node that was a running best. AFTER_ALL: every good node.
    INLINE: each node at its commit, on the run's wall clock."""

    __test__ = False

    SUBMITTED = "submitted"
    AFTER = "after"
    AFTER_ALL = "after_all"
    INLINE = "inline"
    NEVER = "never"


class Baseline(enum.StrEnum):
    """What the confirmed nodes are compared with, under the same fresh evaluator seeds."""

    NONE = "none"
    FIRST_DRAFT = "first_draft"


class Fsync(enum.StrEnum):
    ALWAYS = "always"
    OFF = "off"


class Terminal(enum.StrEnum):
    """AUTO: a live view on a terminal, else lines. OFF: nothing."""

    AUTO = "auto"
    OFF = "off"


@dataclasses.dataclass(frozen=True)
class Analyze:
    """config.analyze. `llm`: ask a model for the verdict on every execution (self-reported fitness always does)."""

    llm: bool = False


@dataclasses.dataclass(frozen=True)
class Workers:
    """config.workers. `n` nodes in flight; `llm` calls and `eval` executions at once (0: as many as n allows).

    `devices`: comma-separated GPU ids, "" = those of CUDA_VISIBLE_DEVICES, "cpu" = none. At most `slots_per_device`
    executions share a device (or, without one, the cores of this machine, which they divide among them).
    """

    n: int = 1
    llm: int = 0
    eval: int = 0
    order: Order = Order.FIFO
    devices: str = ""
    slots_per_device: int = 1


@dataclasses.dataclass(frozen=True)
class SandboxSettings:
    """config.sandbox. `backend`: process, docker or apptainer. Bounds of one execution; None = the task's own, else the
    sandbox's default."""

    backend: str = "process"
    require_isolation: bool = False
    check_s: float | None = None
    fit_s: float | None = None
    score_s: float | None = None
    memory_gb: float | None = None


@dataclasses.dataclass(frozen=True)
class Eval:
    """config.eval. `seeds`: evaluator seeds 0, 1, ... averaged into a fitness. `hidden_seed`: data seed; None = a
    secret of the run where rows are generated and candidates are code, else the public one (0 asks for it).

    `signal`: what steers the search, for tasks that train a pattern on one proxy: metric (the task's), loss (of the
    validation targets) or curve (the area under the training curve). The fitness stays the metric.
    `width_scaling`: a pattern of n layers is trained at width 8 n instead of the profile's (Compose tasks).
    """

    seeds: int = 1
    hidden_seed: int | None = None
    width_scaling: bool = False
    signal: Signal = Signal.METRIC


@dataclasses.dataclass(frozen=True)
class Test:
    """config.test. `repeat_winner`: further evaluator seeds for the submitted node's test score."""

    __test__ = False

    when: TestWhen = TestWhen.AFTER
    repeat_winner: int = 1


@dataclasses.dataclass(frozen=True)
class Confirm:
    """config.confirm. After the search, evaluate the `top_k` good nodes again with `seeds` fresh evaluator seeds and
    submit the best mean."""

    top_k: int = 0
    seeds: int = 3
    baseline: Baseline = Baseline.NONE


@dataclasses.dataclass(frozen=True)
class BudgetSettings:
    """config.budget. None = unlimited. No execution starts with less than `min_exec_s` left."""

    wall_s: float | None = 86_400.0
    device_s: float | None = None
    steps: int | None = 500
    tokens: int | None = None
    usd: float | None = None
    min_exec_s: float = 30.0

    @property
    def limits(self) -> Budget:
        return Budget.of(dataclasses.asdict(self))


@dataclasses.dataclass(frozen=True)
class Paths:
    """config.paths. `data_root`: prepared and raw data, "" = ~/.local/share/aira_jax. `cache_dir`: evaluator results,
    "" = AIRA_JAX_CACHE, else ~/.cache/aira_jax."""

    data_root: str = ""
    cache_dir: str = ""


@dataclasses.dataclass(frozen=True)
class Log:
    fsync: Fsync = Fsync.ALWAYS


@dataclasses.dataclass(frozen=True)
class Display:
    terminal: Terminal = Terminal.AUTO


@dataclasses.dataclass(frozen=True)
class Settings:
    """All of a search. `task` is a name or the path of a task folder.

    `agent` names the folder of its runs; "" = <policy>-<model or backend>."""

    task: str = "NeuralArchitectureSearchMAD2PrimitivesAccuracy"
    agent: str = ""
    seed: int = 0
    profile: str = "smoke"
    fitness: Fitness = Fitness.EVALUATOR
    dedupe: Dedupe = Dedupe.REUSE
    llm: Mapping[str, Any] = dataclasses.field(default_factory=lambda: dataclasses.asdict(llms.Options()))
    policy: PolicyConfig = PolicyConfig()
    prompt: PromptOptions = PromptOptions()
    memory: MemoryOptions = MemoryOptions()
    analyze: Analyze = Analyze()
    workers: Workers = Workers()
    sandbox: SandboxSettings = SandboxSettings()
    eval: Eval = Eval()
    test: Test = Test()
    confirm: Confirm = Confirm()
    budget: BudgetSettings = BudgetSettings()
    paths: Paths = Paths()
    log: Log = Log()
    display: Display = Display()

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Settings":
        """The settings of a config. Raises ValueError naming the key, its value and what is valid."""
        settings = build(cls, plain(config), "config")
        settings = dataclasses.replace(settings, llm=_without_none(settings.llm))
        _check(settings)
        return settings

    @property
    def agent_name(self) -> str:
        options = llms.options(self.llm)
        proposer = (options.model or llms.short(options.backend)).replace("/", "_")
        return self.agent or f"{self.policy.name.rpartition(':')[2]}-{proposer}"

    def options(self, operator: Operator) -> llms.Options:
        """config.llm as one operator sees it."""
        return llms.options(self.llm, operator)


def to_config(settings: Settings) -> config_dict.ConfigDict:
    """A locked ConfigDict with every option; options without a value take one of their type later."""
    fields = placeholders(settings)
    overrides = {str(name): blank(llms.Options) for name in PROPOSERS}
    fields["llm"] = {**overrides, **placeholders(llms.options(settings.llm))}
    config = config_dict.ConfigDict(fields)
    config.lock()
    for key in FREE_DICTS:
        config.llm[key].unlock()
    return config


def is_changeable(key: str) -> bool:
    """Whether a run may be continued with another value of this key."""
    return any(key.startswith(prefix) for prefix in CHANGEABLE)


def _without_none(llm: Mapping[str, Any]) -> dict[str, Any]:
    """config.llm without the overrides that were left open."""
    kept = dict(llm)
    for operator in PROPOSERS:
        block = {key: value for key, value in (kept.pop(operator, None) or {}).items() if value not in (None, {})}
        if block:
            kept[str(operator)] = block
    return kept


_AT_LEAST = {
    "seed": 0,
    "workers.n": 1,
    "workers.llm": 0,
    "workers.eval": 0,
    "workers.slots_per_device": 1,
    "eval.seeds": 1,
    "test.repeat_winner": 0,
    "confirm.top_k": 0,
    "confirm.seeds": 1,
    "memory.max_chars": 0,
    "policy.greedy.num_drafts": 1,
    "policy.greedy.max_debug_depth": 0,
    "policy.mcts.num_children": 1,
    "policy.mcts.uct_c": 0,
    "policy.mcts.max_debug_depth": 0,
    "policy.evolution.num_islands": 1,
    "policy.evolution.max_island_size": 1,
    "policy.evolution.individuals_per_generation": 1,
    "policy.evolution.num_generations": 1,
    "policy.evolution.max_debug_depth": 0,
    "policy.evolution.max_debug_s": 0,
    "policy.evolution.migration_every": 0,
    "budget.wall_s": 0,
    "budget.device_s": 0,
    "budget.steps": 0,
    "budget.tokens": 0,
    "budget.usd": 0,
    "budget.min_exec_s": 0,
}


def _check(settings: Settings) -> None:
    values = flatten(dataclasses.asdict(settings))
    for key, least in _AT_LEAST.items():
        if values[key] is not None and not values[key] >= least:
            raise ValueError(f"config.{key}={values[key]} must be at least {least}")
    for key, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"config.{key}={value} must be a finite number")
    for key in ("policy.greedy.debug_prob", "policy.evolution.crossover_prob"):
        if not 0 <= values[key] <= 1:
            raise ValueError(f"config.{key}={values[key]} must lie in [0, 1]")
    evolution = settings.policy.evolution
    if not (evolution.t0 > 0 and evolution.t1 > 0):
        raise ValueError(f"config.policy.evolution.t0={evolution.t0} and t1={evolution.t1} must be positive")
    if evolution.num_islands > evolution.individuals_per_generation:
        raise ValueError(
            f"config.policy.evolution.num_islands={evolution.num_islands} would leave islands without a draft: the "
            f"first generation has individuals_per_generation={evolution.individuals_per_generation}"
        )
    if not settings.task:
        raise ValueError("config.task is empty: name a task or the path of a task folder")
    if "/" in settings.agent or settings.agent.startswith("."):
        raise ValueError(f"config.agent={settings.agent!r} names a folder: it must not hold / or begin with a dot")
    policies.find(settings.policy.name)
    for operator in PROPOSERS:
        settings.options(operator)
