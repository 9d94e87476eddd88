"""Fidelities of the text proxies, BabiStories and DCLM. Importable without jax and numpy.

smoke   seconds; proves that the machinery runs, its scores mean nothing
demo    bytes, 512 windows of 64; small enough for the built-in corpus
cpu-s   bytes, 2,000 windows of 128
cpu-m   a BPE of 4,096 tokens learned from the corpus, 10,000 windows of 256
paper   GPT-2's BPE, windows of 512, as many as the paper reports (arXiv 2605.15871)

The paper publishes neither optimizer nor vocabulary of these proxies: those of `paper` are this project's own choice.
"""

import dataclasses
import enum
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

from aira_jax.core import choices
from aira_jax.primitives.activation import Activation
from aira_jax.proxies import fidelity
from aira_jax.proxies.fidelity import SCORED_BATCH, DType, Preset, Select


class Kind(enum.StrEnum):
    """The text proxies."""

    BABISTORIES = "babistories"
    DCLM = "dclm"


MAD = Preset.proxy
PROXIES = (MAD, *(kind.value for kind in Kind))


@dataclasses.dataclass(frozen=True)
class TextPreset:
    """One fidelity of a text proxy: `train` and `test` windows of `length` tokens, next-token prediction.

    AdamW; the rate rises over `warmup` steps to `lr` and falls as a cosine to `final_lr`; gradients are clipped to the
    norm `clip`. `tokenizer` is a name that `corpora.tokenizers.make` knows; a corpus of tokens has its own.
    """

    name: str
    kind: Kind
    d: int
    length: int
    train: int
    test: int
    epochs: int
    batch: int
    tokenizer: str
    warmup: int
    lr: float = 1e-3
    final_lr: float = 1e-4
    weight_decay: float = 0.1
    clip: float = 1.0
    b1: float = 0.9
    b2: float = 0.95
    eps: float = 1e-8
    activation: Activation = Activation.RELU
    dtype: DType = DType.FP32
    eval_every: ClassVar[int] = 0
    stop_at: ClassVar[None] = None
    select: ClassVar[Select] = Select.LAST

    def __post_init__(self):
        fidelity.check_sizes(self, "d", "length", "train", "test", "epochs", "batch")
        if self.train < 2:
            raise ValueError(f"preset {self.name}: train = {self.train}, a 70:30 split needs at least 2 windows")

    @property
    def proxy(self) -> str:
        return self.kind.value

    @property
    def tasks(self) -> tuple[str, ...]:
        return (self.kind.value,)

    @property
    def tokens(self) -> int:
        """Tokens that the preset needs, train and test together."""
        return (self.train + self.test) * self.length

    def chosen(self, tasks: Sequence[str] | None) -> tuple[str, ...]:
        """The proxy's only task. Raises ValueError for any other."""
        if tasks is not None and tuple(tasks) != self.tasks:
            raise ValueError(
                f"the proxy {self.kind} has no tasks to choose from: leave tasks out, got {', '.join(tasks)})"
            )
        return self.tasks

    def resolved(self, tasks: Sequence[str] | None = None) -> dict[str, Any]:
        """Everything that can change a score, as plain JSON data, except the windows themselves."""
        del tasks
        plain = dataclasses.asdict(self)
        for unused in ("name", "kind", "tokenizer"):  # the manifest of the windows says which tokens there are
            del plain[unused]
        return plain | {"scored_batch": SCORED_BATCH}

    def steps(self) -> int:
        """Optimizer steps on the full train split."""
        return self.epochs * -(-self.train // self.batch)


# Few steps need small batches and a high rate: cpu-s, 8(A-M), children's stories: 2.52 nats with 32 and 1e-3, 1.91 so.
_BYTES: Mapping[str, Any] = {"batch": 16, "lr": 3e-3, "final_lr": 3e-4, "tokenizer": "byte"}
_SIZES: Mapping[str, Mapping[str, Any]] = {
    "smoke": {"d": 32, "length": 64, "train": 64, "test": 64, "epochs": 1, "warmup": 1, **_BYTES},
    "demo": {"d": 64, "length": 64, "train": 512, "test": 128, "epochs": 2, "warmup": 6, **_BYTES},
    "cpu-s": {"d": 64, "length": 128, "train": 2000, "test": 512, "epochs": 2, "warmup": 25, **_BYTES},
    "cpu-m": {"d": 128, "length": 256, "train": 10_000, "test": 2048, "epochs": 1, "warmup": 60, **_BYTES}
    | {"lr": 2e-3, "final_lr": 2e-4, "tokenizer": "bpe:4096"},
}
_PAPER: Mapping[str, Any] = {"d": 128, "length": 512, "test": 9275, "batch": 128, "tokenizer": "gpt2", "warmup": 100}
_PAPER_TRAIN: Mapping[Kind, Mapping[str, int]] = {
    Kind.BABISTORIES: {"train": 927_158, "epochs": 1},
    Kind.DCLM: {"train": 10_000, "epochs": 4},
}

PRESETS: Mapping[Kind, Mapping[str, TextPreset]] = MappingProxyType(
    {
        kind: MappingProxyType(
            {name: TextPreset(name, kind, **size) for name, size in _SIZES.items()}
            | {"paper": TextPreset("paper", kind, **_PAPER, **_PAPER_TRAIN[kind])}
        )
        for kind in Kind
    }
)


def get(kind: Kind | str, name: str) -> TextPreset:
    """The preset `name` of a proxy; raises ValueError with the nearest match."""
    presets = PRESETS[choices.among("text proxy", kind, [*Kind])]
    return presets[choices.among("preset", name, presets)]


def of(proxy: str, name: str) -> Preset | TextPreset:
    """The preset `name` of any proxy, MAD or text; raises ValueError with the nearest match."""
    return fidelity.get(name) if choices.among("proxy", proxy, PROXIES) == MAD else get(proxy, name)
