"""What a training run is asked to do, and what it reports. Both are JSON data; this module does not import jax."""

import dataclasses
import enum
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aira_jax.core import choices
from aira_jax.train.groups import Decay, Rule
from lra import contract, designs
from lra import globals as lra_globals
from lra import settings as lra_settings
from lra.data import store
from lra.settings import Settings


class ScoreParams(enum.StrEnum):
    """Which parameters are scored: the last ones, or those with the best validation subset. Chosen before the run."""

    FINAL = "final"
    BEST = "best_val"


class TrainOn(enum.StrEnum):
    """FULL (Text only) trains on the carved validation rows too, as published results do; they are then `seen`."""

    TRAIN = "train"
    FULL = "full"


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What people's recipes need beyond the settings; never a candidate's choice.

    `factors` multiply (see `aira_jax.train.schedule`). `grad_clip` bounds the global norm. `epochs` and `warmup_epochs`
    replace num_train_steps and warmup, rounded up, once the rows are known.
    """

    factors: str = "constant * linear_warmup"
    decay: Decay = Decay.NONE
    grad_clip: float | None = None
    epochs: float | None = None
    warmup_epochs: float | None = None
    beta2: float = 0.98
    epsilon: float = 1e-9
    rules: tuple[Rule, ...] = ()


@dataclasses.dataclass(frozen=True)
class Job:
    """One training run.

    `data`: a folder of scripts/lra_data.py with a labelled train split; validation and test are scored where their
    labels are there. `model`: the path of a model.py, or the name of a design or an encoder. `options`: further
    constructor arguments for it. `memory_limit`: bytes, None = what the device has. `checkpoint_every`: updates, None
    = max(500, 10 * eval_frequency). `resume` False refuses a workdir that holds a run.
    """

    task: str
    data: Path
    model: str
    settings: Settings
    profile: str
    workdir: Path
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    recipe: Recipe = Recipe()
    resume: bool = True
    score_params: ScoreParams = ScoreParams.FINAL
    train_on: TrainOn = TrainOn.TRAIN
    time_limit_s: float | None = None
    memory_limit: int | None = None
    checkpoint_every: int | None = None
    deterministic: bool = False
    warnings: tuple[str, ...] = ()

    def __post_init__(self):
        if self.train_on is TrainOn.FULL and self.task != "text":
            raise ValueError(f"train_on=full is for text, whose validation rows are carved from train, not {self.task}")
        if self.train_on is TrainOn.FULL and self.score_params is ScoreParams.BEST:
            raise ValueError("train_on=full needs score_params=final: validation rows that were seen choose nothing")

    @property
    def save_every(self) -> int:
        return self.checkpoint_every or max(500, 10 * self.settings.eval_frequency)

    @property
    def path(self) -> Path | None:
        """The model.py, None when the model is an encoder by name."""
        return model_path(self.model)

    @property
    def model_name(self) -> str:
        """How a report calls the model: the encoder, or the folder that its model.py lies in."""
        return self.model if self.path is None else self.path.resolve().parent.name

    def identity(self, data_sha256: Mapping[str, str]) -> dict[str, Any]:
        """What must not change when a run is continued: all but places, limits, intervals; data and code by hash."""
        plain = dataclasses.asdict(self)
        for key in (
            "data",
            "workdir",
            "resume",
            "time_limit_s",
            "memory_limit",
            "warnings",
            "model",
            "checkpoint_every",
        ):
            del plain[key]
        path = self.path
        sha = hashlib.sha256(path.read_bytes()).hexdigest() if path else None
        named = {"model": self.model if path is None else path.name, "model_sha256": sha}
        return {**named, **plain, "data_sha256": dict(data_sha256)}

    def to_json(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "data": str(self.data), "workdir": str(self.workdir)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Job":
        recipe = dict(values["recipe"])
        recipe["rules"] = tuple(Rule(**rule) for rule in recipe["rules"])
        recipe["decay"] = Decay(recipe["decay"])
        typed = {
            "data": Path(values["data"]),
            "workdir": Path(values["workdir"]),
            "settings": Settings(**values["settings"]),
            "recipe": Recipe(**recipe),
            "score_params": ScoreParams(values["score_params"]),
            "train_on": TrainOn(values["train_on"]),
            "warnings": tuple(values["warnings"]),
        }
        return cls(**{**values, **typed})


def data_command(task: str, profile: str) -> str:
    """The command, without --out, that makes the data of a task in the size of a profile."""
    flags = "".join(f" --{key}={value}" for key, value in lra_settings.profile(task, profile).data.items())
    return store.build_command(task) + flags


def need_data(task: str, profile: str, data: Path) -> None:
    """Raises ValueError with the command that makes the data when no complete data set lies at `data`."""
    if (data / store.META).is_file():
        return
    what = f"holds no complete data set (no {store.META})" if data.exists() else "does not exist"
    raise ValueError(f"{data} {what}. Make it with\n    {data_command(task, profile)} --out={data}")


def model_path(model: str) -> Path | None:
    """The file that a model's name means: a path, or a design's model.py; None for an encoder.

    Raises: ValueError for a path that does not exist, or a name that is neither a design nor an encoder.
    """
    if model in ENCODERS:
        return None
    if model in designs.names():
        return designs.path(model)
    if not model.endswith(".py"):
        raise ValueError(choices.unknown("model", model, dict.fromkeys([*ENCODERS, *designs.names(), "PATH/model.py"])))
    if not Path(model).is_file():
        raise ValueError(f"{model} does not exist: name a model.py, a design or an encoder")
    return Path(model)


ENCODERS = ("transformer", "linear", "local", "performer", "s5", "lru", "mega", "mega_chunk", "mamba2")


@dataclasses.dataclass(frozen=True)
class Accuracies:
    """Accuracy and loss of one set of parameters on whole splits; None where labels are absent."""

    step: int
    validation_accuracy: float | None
    validation_loss: float | None
    test_accuracy: float | None = None
    test_loss: float | None = None


@dataclasses.dataclass(frozen=True)
class Preflight:
    """Bytes that the compiled training step needs, and what there is."""

    need_bytes: int
    limit_bytes: int
    evaluation_bytes: int


@dataclasses.dataclass(frozen=True)
class Report:
    """How a run went. Accuracies are those of `score_params`; `final` and `best` hold both candidates for it.

    `diagnostics`: per labelled split the baselines and one verdict sentence each. `peak_memory_bytes`: of the device,
    or of the process without one. `kernels`: which implementations ran, by operator and shape.
    `trained` (not in the JSON) predicts: see `lra.train.predict`.
    """

    task: str
    validation_accuracy: float | None
    test_accuracy: float | None
    steps: int
    params: int
    steps_per_s: float
    tokens_per_s: float
    peak_memory_bytes: int
    data: str
    surrogate: bool
    model: str
    profile: str
    settings: Mapping[str, Any]
    params_vs_transformer: float
    train_rows: int
    score_params: ScoreParams
    train_on: TrainOn
    final: Accuracies
    best: Accuracies | None
    preflight: Preflight
    compile_s: float
    wall_s: float
    diagnostics: Mapping[str, Any]
    published: tuple[Mapping[str, Any], ...]
    kernels: tuple[Mapping[str, Any], ...]
    warnings: tuple[str, ...]
    trained: Any = dataclasses.field(default=None, repr=False, compare=False)

    @property
    def val_test_gap(self) -> float | None:
        """Validation minus test accuracy; None where one of them is open."""
        if self.validation_accuracy is None or self.test_accuracy is None:
            return None
        return self.validation_accuracy - self.test_accuracy

    SUMMARY = (
        *("task", "validation_accuracy", "test_accuracy", "steps", "params", "steps_per_s", "tokens_per_s"),
        "peak_memory_bytes",
    )

    def summary(self) -> dict[str, Any]:
        """The eight values that scripts/lra_train.py prints last."""
        return {key: getattr(self, key) for key in self.SUMMARY}

    def to_json(self) -> dict[str, Any]:
        values = dataclasses.asdict(dataclasses.replace(self, trained=None))
        del values["trained"]
        return {**values, "val_test_gap": self.val_test_gap}


def make_job(
    task: str,
    data: Path,
    workdir: Path,
    *,
    model: str = "",
    profile: str = "smoke",
    configurable: bool = False,
    strict: bool = False,
    overrides: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    **others: Any,
) -> Job:
    """A job from names: the profile's settings, then model.py's (when `configurable`), then `overrides`.

    `model` "": the profile's own, with its options. Raises: CandidateFault for a model.py that does not keep the
    contract, ValueError for anything else.
    """
    chosen = lra_settings.profile(task, profile)
    if model in ("", chosen.model):
        model, options = chosen.model, {**chosen.options, **(options or {})}
    path, warnings = model_path(model), []
    settings = chosen.settings
    if path is not None:
        source = path.read_text(encoding="utf-8", errors="replace")
        contract.check_source(source, task)
        settings, warnings = lra_globals.read(source, task, configurable=configurable, profile=profile, strict=strict)
    overrides = {key: value for key, value in (overrides or {}).items() if value is not None}
    settings = settings.replace(**overrides)
    problems = lra_settings.check(settings, task, profile_name=profile, chosen={})
    if problems.errors:
        raise ValueError("; ".join(problems.errors))
    warnings += [warning for warning in problems.warnings if warning not in warnings]
    return Job(
        *(task, Path(data), model, settings, profile, Path(workdir), dict(options or {})),
        **others,
        warnings=tuple(warnings),
    )
