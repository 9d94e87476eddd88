"""The thirteen numbers of a training run: their names in model.py, defaults, bounds, and profiles that replace them.

Defaults and the ranges that agents explored: arXiv 2605.15871, tables 12 and 13. This module imports no array library.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from aira_jax.core import choices

SOURCE = "arXiv 2605.15871, table 13"


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a configurable model.py may choose. `random_seed` draws parameters, dropout and the order of rows."""

    max_length: int
    learning_rate: float
    batch_size: int
    num_train_steps: int
    num_layers: int
    num_heads: int
    emb_dim: int
    qkv_dim: int
    mlp_dim: int
    weight_decay: float
    warmup: int
    eval_frequency: int
    random_seed: int = 0

    def replace(self, **values: Any) -> "Settings":
        return dataclasses.replace(self, **values)


FIELDS: dict[str, type] = {field.name: field.type for field in dataclasses.fields(Settings)}

NAMES: dict[str, tuple[str, ...]] = {
    "max_length": ("SEQ_LEN", "MAX_LENGTH"),
    "learning_rate": ("LR", "LEARNING_RATE"),
    "batch_size": ("BATCH_SIZE",),
    "num_train_steps": ("NUM_TRAIN_STEPS", "TRAIN_STEPS"),
    "num_layers": ("NUM_LAYERS",),
    "num_heads": ("NUM_HEADS",),
    "emb_dim": ("EMB_DIM", "EMBED_DIM"),
    "qkv_dim": ("QKV_DIM",),
    "mlp_dim": ("MLP_DIM",),
    "weight_decay": ("WEIGHT_DECAY",),
    "warmup": ("WARMUP_STEPS", "WARMUP"),
    "eval_frequency": ("EVAL_FREQUENCY", "EVAL_FREQ"),
    "random_seed": ("RANDOM_SEED", "SEED"),
}


@dataclasses.dataclass(frozen=True)
class TaskInfo:
    """What a task asks of a model. `pair`: rows are two documents, so the class is CustomDualEncoder."""

    vocab: int
    classes: int
    pair: bool = False

    @property
    def byte_level(self) -> bool:
        """Whether ids are the bytes of text, plus 1."""
        return self.vocab == 257

    @property
    def class_name(self) -> str:
        return "CustomDualEncoder" if self.pair else "CustomEncoder"


TASKS: dict[str, TaskInfo] = {
    "listops": TaskInfo(17, 10),
    "text": TaskInfo(257, 2),
    "retrieval": TaskInfo(257, 2, pair=True),
    "recall": TaskInfo(177, 64),
    "needle": TaskInfo(257, 10),
}

_ORDER = tuple(FIELDS)[:-1]
_DEFAULTS = {
    task: Settings(**dict(zip(_ORDER, values, strict=True)))
    for task, values in {
        "listops": (2000, 1e-4, 16, 5_000, 4, 8, 512, 512, 1024, 0.01, 1000, 50),
        "text": (1000, 1e-4, 16, 20_000, 6, 8, 512, 512, 2048, 0.01, 500, 50),
        "retrieval": (4000, 1e-4, 8, 5_000, 4, 4, 128, 128, 512, 0.01, 8000, 50),
        "recall": (512, 1e-3, 32, 5_000, 4, 4, 128, 128, 256, 0.01, 500, 100),
        "needle": (512, 1e-3, 32, 5_000, 4, 4, 128, 128, 256, 0.01, 500, 100),
    }.items()
}

BOUNDS: dict[str, tuple[float, float]] = {
    "max_length": (32, 8192),
    "learning_rate": (1e-5, 1e-2),
    "batch_size": (1, 128),
    "num_train_steps": (2, 30_000),
    "num_layers": (1, 12),
    "num_heads": (1, 16),
    "emb_dim": (8, 512),
    "qkv_dim": (8, 512),
    "mlp_dim": (16, 2048),
    "weight_decay": (1e-4, 0.1),  # or exactly 0
    "warmup": (1, 8000),
    "eval_frequency": (5, 4000),
    "random_seed": (0, 2**31 - 1),
}
EXPLORED: dict[str, dict[str, tuple[float, float]]] = {
    task: dict(zip(_ORDER, ranges, strict=True))
    for task, ranges in {
        "listops": (
            *((200, 4096), (5e-5, 4e-3), (2, 128), (10, 20_000), (2, 12), (1, 16)),
            *((32, 512), (32, 512), (128, 2048), (0.01, 0.1), (50, 2000), (5, 1000)),
        ),
        "text": (
            *((32, 4096), (1e-5, 0.01), (1, 64), (2, 30_000), (1, 12), (1, 8)),
            *((8, 512), (8, 512), (16, 2048), (0.01, 0.1), (5, 4000), (50, 4000)),
        ),
        "retrieval": (
            *((64, 8192), (3e-5, 5e-3), (1, 32), (5, 15_000), (2, 8), (1, 16)),
            *((64, 512), (32, 512), (64, 2048), (1e-4, 0.05), (5, 3000), (10, 1000)),
        ),
    }.items()
}


@dataclasses.dataclass(frozen=True)
class Profile:
    """A size of experiment: the settings that stand where model.py chooses nothing, and what people's model is.

    `data` are the flags of scripts/lra_data.py beside --task and --out. `model` is an encoder or a design by name,
    `options` further arguments of its constructor (`dropout_rate`, `classifier_pool`, ...). `exempt`: settings whose
    bounds do not hold in this profile.
    """

    name: str
    task: str
    settings: Settings
    data: Mapping[str, Any]
    model: str
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    exempt: frozenset[str] = frozenset()


_SMALL = {"emb_dim": 64, "qkv_dim": 64, "mlp_dim": 128, "num_heads": 4}
_NO_DROPOUT = {"dropout_rate": 0.0, "attention_dropout_rate": 0.0}


def _smoke(task: str, data: dict, model: str, options: dict, **values: Any) -> Profile:
    return Profile("smoke", task, _DEFAULTS[task].replace(**_SMALL, **values), data, model, options)


def _paper(task: str, **data: Any) -> Profile:
    return Profile("paper", task, _DEFAULTS[task], data, "transformer")


def _at_length(task: str, length: int, **data: Any) -> Profile:
    settings = _DEFAULTS[task].replace(max_length=length)
    return Profile(f"length-{length}", task, settings, {"length": length, **data}, "linear")


LENGTHS = (1024, 2048, 4096, 8192)
PROFILES: dict[tuple[str, str], Profile] = {
    (profile.task, profile.name): profile
    for profile in (
        *(_paper("listops"), _paper("text"), _paper("retrieval")),
        *(_paper("recall", length=512, pairs=32), _paper("needle", length=512)),
        *(_at_length("recall", length, pairs=32) for length in LENGTHS),
        *(_at_length("needle", length) for length in LENGTHS),
        _smoke(
            "listops",
            {"profile": "smoke"},
            "transformer",
            {"classifier_pool": "MEAN", **_NO_DROPOUT},
            **{"max_length": 40, "num_layers": 2, "batch_size": 64, "num_train_steps": 1500},
            **{"learning_rate": 1e-3, "warmup": 100, "eval_frequency": 300},
        ),
        _smoke(
            "text",
            {},
            "listops_dwconv_bilinattn",
            {"conv_width": 7},
            **{"max_length": 400, "num_layers": 1, "batch_size": 32, "num_train_steps": 400},
            **{"learning_rate": 2e-3, "warmup": 50, "eval_frequency": 100},
        ),
        _smoke(
            "retrieval",
            {},
            "linear",
            {"classifier_pool": "MEAN", "interaction": "NLI", **_NO_DROPOUT},
            **{"max_length": 512, "num_layers": 1, "batch_size": 16, "num_train_steps": 100},
            **{"learning_rate": 1e-3, "warmup": 20, "eval_frequency": 50},
        ),
        _smoke(
            "recall",
            {"length": 64, "pairs": 4, "queries": 2, "train": 20_000, "validation": 1_000, "test": 1_000},
            "transformer",
            {"classifier_pool": "MEAN", **_NO_DROPOUT},
            **{"max_length": 64, "num_layers": 2, "batch_size": 64, "num_train_steps": 600},
            **{"learning_rate": 1e-3, "warmup": 100, "eval_frequency": 200},
        ),
        _smoke(
            "needle",
            {"length": 128, "needles": 1, "train": 8_000, "validation": 1_000, "test": 1_000},
            "listops_dwconv_bilinattn",
            {"conv_width": 15},
            **{"max_length": 128, "num_layers": 1, "batch_size": 32, "num_train_steps": 400},
            **{"learning_rate": 2e-3, "warmup": 50, "eval_frequency": 100},
        ),
    )
}


def task_info(task: str) -> TaskInfo:
    """What `task` asks of a model; ValueError with the nearest names otherwise."""
    return TASKS[choices.among("task", task, TASKS)]


def defaults(task: str) -> Settings:
    """The defaults of arXiv 2605.15871, table 12 (listops, text, retrieval); ours for recall and needle."""
    task_info(task)
    return _DEFAULTS[task]


def profile(task: str, name: str) -> Profile:
    """The profile `name` ("smoke", "paper") of a task; ValueError with the nearest names otherwise."""
    task_info(task)
    known = [other for of, other in PROFILES if of == task]
    choices.among("profile", name, known)
    return PROFILES[task, name]


@dataclasses.dataclass(frozen=True)
class Problems:
    """What is wrong with settings: `errors` forbid a run, `warnings` are told."""

    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def check(
    settings: Settings,
    task: str,
    *,
    profile_name: str = "paper",
    rows: int | None = None,
    devices: int | None = None,
    chosen: Mapping[str, str] | None = None,
) -> Problems:
    """Bounds and contradictions of settings, all at once.

    `rows` of train and the number of `devices` are checked when given. `chosen` maps each setting to how the user
    wrote it ("line 3: LR"); settings not in it are named by their key and, coming from a profile, not held to bounds.
    """
    chosen = {key: key for key in FIELDS} if chosen is None else chosen
    exempt = profile(task, profile_name).exempt
    bounded = {key: word for key, word in chosen.items() if key not in exempt}
    errors = [_outside(word, getattr(settings, key), key, BOUNDS[key]) for key, word in bounded.items()]
    errors += [_impossible(key, getattr(settings, key)) for key in FIELDS if key not in bounded]
    if rows is not None and settings.batch_size > rows:
        errors.append(f"batch_size = {settings.batch_size} exceeds the {rows} rows of train: choose a smaller one")
    if devices is not None and settings.batch_size % devices:
        errors.append(f"batch_size = {settings.batch_size} is no multiple of the {devices} devices")
    explored = EXPLORED.get(task, {}) if profile_name == "paper" else {}
    warnings = [
        f"{word} = {getattr(settings, key):g} is outside what agents explored for {task}, "
        f"[{explored[key][0]:g}, {explored[key][1]:g}] ({SOURCE})"
        for key, word in bounded.items()
        if key in explored and not explored[key][0] <= getattr(settings, key) <= explored[key][1]
    ]
    return Problems(tuple(filter(None, errors)), (*warnings, *_doubts(settings)))


def _outside(word: str, value: float, key: str, bounds: tuple[float, float]) -> str | None:
    low, high = bounds
    if low <= value <= high or (key == "weight_decay" and value == 0):
        return None
    also = " or 0" if key == "weight_decay" else ""
    return f"{word} = {value:g} is outside [{low:g}, {high:g}]{also} ({SOURCE}): choose a value inside"


def _impossible(key: str, value: float) -> str | None:
    """For settings without bounds: counts are positive, the seed and rates are not negative."""
    least = 0 if key in ("random_seed", "learning_rate", "weight_decay") else 1
    if math.isfinite(value) and value >= least:
        return None
    return f"{key} = {value:g} must be at least {least}"


def _doubts(settings: Settings) -> list[str]:
    doubts = []
    if settings.warmup >= settings.num_train_steps:
        peak = settings.learning_rate * (settings.num_train_steps - 1) / settings.warmup
        doubts.append(
            f"warmup = {settings.warmup} is not below num_train_steps = {settings.num_train_steps}: "
            f"the learning rate ends at {peak:.3g} of {settings.learning_rate:g}"
        )
    if settings.eval_frequency > settings.num_train_steps:
        doubts.append(
            f"eval_frequency = {settings.eval_frequency} exceeds num_train_steps = {settings.num_train_steps}: "
            "validation happens at the end only"
        )
    if settings.qkv_dim % settings.num_heads:
        doubts.append(f"qkv_dim = {settings.qkv_dim} is no multiple of num_heads = {settings.num_heads}")
    return doubts
