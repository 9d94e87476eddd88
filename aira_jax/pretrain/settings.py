"""Everything that decides a pretraining, as frozen dataclasses; configs/pretrain.py fills them."""

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any

from aira_jax.compose import dims as dims_lib
from aira_jax.compose import flops, zoo
from aira_jax.compose.dims import Dims
from aira_jax.core import choices, settings
from aira_jax.models.hybrid import Remat, Scan
from aira_jax.patterns import Pattern, parse
from aira_jax.pretrain.data.settings import DataConfig
from aira_jax.pretrain.schedule import Decay

SMALL_SCALES = {
    "debug": {"d_model": 128, "heads": 4, "head_dim": 32, "kv_heads": 2, "mlp_hidden": 384, "mamba_state": 16},
    "small": {"d_model": 512, "heads": 8, "head_dim": 64, "kv_heads": 4, "mlp_hidden": 1536, "mamba_state": 64},
}
SCALES = (*SMALL_SCALES, *dims_lib.SCALES)
DEFAULT_PATTERNS = {"debug": "2(A-M)", "small": "8(A-M)"}
DEFAULT_ARCH = "llama_3_2"


class Attention(enum.StrEnum):
    """AUTO: cudnn on GPUs of compute capability 9 or more, else dense; the choice is printed and recorded."""

    AUTO = "auto"
    DENSE = "dense"
    BLOCKED = "blocked"
    CUDNN = "cudnn"


class Loss(enum.StrEnum):
    """FULL keeps the logits of a microbatch; TILED those of one block of tokens, and computes them again backward."""

    FULL = "full"
    TILED = "tiled"


class Saving(enum.StrEnum):
    """See `aira_jax.train.checkpoints.Saving`."""

    SYNC = "sync"
    ASYNC = "async"


@dataclasses.dataclass(frozen=True)
class Model:
    """`pattern` or `arch` (a model of the zoo), else the scale's default; `space` decides the width of M."""

    scale: str = "debug"
    arch: str | None = None
    pattern: str | None = None
    space: int | None = None
    vocab: int | None = None
    attention: Attention = Attention.AUTO
    ssd: str = "auto"
    loss: Loss = Loss.FULL
    loss_block: int = 8192  # tokens
    remat: Remat = Remat.NONE
    scan: Scan = Scan.REPEATS
    dtype: str = "bfloat16"


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """AdamW; decay reaches kernels alone. `warmup` None: 2 % of the steps, within 100 and 2000."""

    peak: float = 1e-3
    scale: float = 1.0
    warmup: int | None = None
    decay: Decay = Decay.COSINE
    beta1: float = 0.9
    beta2: float = 0.95
    epsilon: float = 1e-8
    weight_decay: float = 0.1
    clip: float = 1.0
    z_loss: float = 0.0


@dataclasses.dataclass(frozen=True)
class Mesh:
    """`fsdp` devices share the weights, `replica` such groups exist; None: all devices of a process, all processes."""

    replica: int | None = None
    fsdp: int | None = None
    min_shard_elements: int = 65_536


@dataclasses.dataclass(frozen=True)
class Settings:
    """`batch` sequences of `length` tokens a step, `microbatch` of them at a time on each device (None: all)."""

    model: Model = Model()
    data: DataConfig = DataConfig()
    optimizer: Optimizer = Optimizer()
    mesh: Mesh = Mesh()
    length: int = 128
    batch: int = 16
    microbatch: int | None = None
    steps: int = 200
    seed: int = 0
    log_every: int = 10
    eval_every: int = 100
    eval_windows: int = 64
    save_every: int = 100
    saving: Saving = Saving.ASYNC
    kept: int = 2
    profile_start: int | None = None
    profile_steps: int = 5

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Settings":
        """Typed settings of a config. Raises ValueError naming the key."""
        made = settings.build(cls, settings.plain(config), "config")
        for name in ("length", "batch", "steps", "log_every", "eval_every", "eval_windows", "save_every", "kept"):
            if getattr(made, name) < 1:
                raise ValueError(f"config.{name}={getattr(made, name)}: give at least 1")
        return made


@dataclasses.dataclass(frozen=True)
class Design:
    """What a model is: its name, its layers, its sizes."""

    arch: str | None
    pattern: Pattern
    dims: Dims


def design(model: Model) -> Design:
    """The layers and sizes that the settings name. Raises ValueError naming the closest ones, or a position."""
    choices.among("scale", model.scale, SCALES)
    if model.arch and model.pattern:
        raise ValueError(f"arch={model.arch} and pattern={model.pattern} are both given: name one")
    published = model.scale in dims_lib.SCALES
    if model.arch or (published and not model.pattern):
        arch = model.arch or DEFAULT_ARCH
        found = _of_zoo(arch, model.scale if published else None)
        pattern, space = found.build, model.space or found.space
    else:
        arch, pattern = None, parse(model.pattern or DEFAULT_PATTERNS[model.scale])
        if published and model.space is None:
            raise ValueError(f"space is missing: model.space=2 or 3 decides the width of M at {model.scale}")
        space = model.space or dims_lib.space_of({*pattern.counts(), "A", "M"})
    sizes = dims_lib.get(model.scale, space) if published else _small(model.scale, space)
    if model.vocab:
        sizes = dataclasses.replace(sizes, vocab=model.vocab)
    flops.layer_counts(pattern, space)
    return Design(arch, pattern, sizes)


def _of_zoo(arch: str, scale: str | None) -> zoo.Model:
    """The model at its scale; without one its small pattern, or that of 350M for those designed at scale."""
    name, _ = zoo.slugs()[choices.among("architecture", arch, zoo.slugs())]
    return zoo.by_slug(arch, scale=scale or (zoo.BASE if zoo.has_base(name) else "350M"))


def _small(scale: str, space: dims_lib.Space) -> Dims:
    return Dims(name=scale, space=space, target=1, mamba_head_dim=32, vocab=1024, **SMALL_SCALES[scale])
