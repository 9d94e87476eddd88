"""A trained model from the folder of its run, on this machine's devices."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from aira_jax.models.hybrid import HybridLM
from aira_jax.pretrain import hardware, sharding
from aira_jax.pretrain.settings import Design, Settings, design
from aira_jax.pretrain.train import SETTINGS, language_model, training_step
from aira_jax.train.checkpoints import Checkpoints
from aira_jax.train.folder import CHECKPOINTS


class Restored(NamedTuple):
    """The newest checkpoint of a run."""

    settings: Settings
    design: Design
    model: HybridLM
    params: Any
    step: int


def restore(folder: Path) -> Restored:
    """Raises ValueError where the folder holds no run, or one without a checkpoint."""
    if not (folder / SETTINGS).is_file():
        raise ValueError(f"{folder} holds no pretraining: name the --workdir of scripts/train.py")
    settings = Settings.of(json.loads((folder / SETTINGS).read_text()))
    chosen = design(settings.model)
    attention = hardware.attention(settings.model.attention, settings.model.dtype, chosen.dims.head_dim)
    model = language_model(settings, chosen, attention)
    layout = sharding.layout(sharding.mesh(sharding.ALL), settings.mesh.min_shard_elements)
    with Checkpoints(folder / CHECKPOINTS) as saved:
        if saved.latest is None:
            raise ValueError(
                f"{folder} holds no checkpoint yet: train on, it saves every {settings.save_every} updates"
            )
        state = saved.restore(training_step(settings, model, layout).shapes)
        return Restored(settings, chosen, model, state.params, saved.latest)
