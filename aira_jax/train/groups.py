"""Words of a recipe that need no array library: how a rate falls, and factors for groups of parameters."""

import dataclasses
import enum


class Decay(enum.StrEnum):
    """How the learning rate falls to 0 between warm-up and the last update, on top of the factors."""

    NONE = "none"
    COSINE = "cosine"
    LINEAR = "linear"


@dataclasses.dataclass(frozen=True)
class Rule:
    """Parameters whose path ("stack/layer_0/ssm/log_step") the regex finds get these factors; the first rule wins."""

    pattern: str
    learning_rate: float = 1.0
    weight_decay: float = 1.0
