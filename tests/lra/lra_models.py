"""Small model.py files, good and bad, and jobs on small data, for the tests of contract and training loop."""

from pathlib import Path

from lra.data import build
from lra.job import Job, Recipe
from lra.settings import Settings

GOOD = """
import flax.linen as nn

class CustomEncoder(nn.Module):
    vocab_size: int
    num_classes: int
    emb_dim: int = 8

    @nn.compact
    def __call__(self, inputs, *, train: bool = False):
        mask = (inputs > 0)[..., None]
        x = nn.Embed(self.vocab_size, self.emb_dim)(inputs)
        x = nn.BatchNorm(use_running_average=not train)(x, mask=mask)
        x = nn.Dropout(0.1, deterministic=not train)(x)
        mean = (x * mask).sum(1) / mask.sum(1).clip(1)
        return nn.Dense(self.num_classes)(mean)
"""

MINIMAL = """
import flax.linen as nn

class CustomEncoder(nn.Module):
    vocab_size: int
    num_classes: int

    @nn.compact
    def __call__(self, inputs, *, deterministic: bool = True):
        return nn.Dense(self.num_classes)(nn.Embed(self.vocab_size, 8)(inputs).mean(1))
"""

SMALL = Settings(
    *(40, 1e-2, 16, 60, 1, 2, 8, 8, 16),
    weight_decay=0.01,
    warmup=5,
    eval_frequency=20,
)


def listops(folder: Path) -> Path:
    """A ListOps data set of the smoke distribution: 400 / 120 / 100 rows."""
    request = build.Request(build.Task.LISTOPS, profile=build.Profile.SMOKE, train=400, validation=120, test=100)
    build.make(request, folder)
    return folder


def job(data: Path, workdir: Path, source: str = MINIMAL, settings: Settings = SMALL, **others) -> Job:
    """A job whose model.py holds `source`."""
    path = workdir.parent / f"{workdir.name}_model" / "model.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(source)
    values = {"recipe": Recipe(), "checkpoint_every": 30, **others}
    return Job("listops", data, str(path), settings, "smoke", workdir, **values)
