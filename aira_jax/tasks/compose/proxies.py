"""The proxies that a Compose task can score on: where their data come from, and what counts of a result.

Numpy is imported when data are made or read: the static check of a submission goes without it.
"""

import dataclasses
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from aira_jax.core import choices
from aira_jax.proxies import fidelity, text_corpus, text_fidelity
from aira_jax.tasks import preparation
from aira_jax.tasks.evaluation import EvaluatorError, Split

if TYPE_CHECKING:
    import numpy as np

    from aira_jax.proxies.result import ProxyResult, TaskScore

PUBLIC_SEED = 12345
MAD = "mad"
NAMES = (MAD, *(kind.value for kind in text_fidelity.Kind))


@dataclasses.dataclass(frozen=True)
class Data:
    """What an evaluation needs: the data set of each problem of a proxy. `seed` identifies the rows in cache keys."""

    datasets: Mapping[str, Any]
    seed: int


class Proxy(Protocol):
    """One source of rows and the measure on them. `part` names its folder where a task has several data sets."""

    name: str
    metric: str
    profiles: tuple[str, ...]

    def preset(self, profile: str) -> Any:
        """How a pattern is trained at a profile."""

    def write_agent(self, arguments: preparation.Arguments, part: str) -> None:
        """Writes what the agent may see."""

    def write_labels(self, arguments: preparation.Arguments, part: str) -> None:
        """Writes what only the evaluator may see of one split."""

    def make(self, profile: str) -> Data:
        """The data anew, for an evaluation that has none. Raises EvaluatorError."""

    def read(self, data_dir: Path, *, profile: str, split: Split, part: str = "") -> Data:
        """The prepared data of one evaluation. Raises EvaluatorError."""

    def read_self_reported(self, data_dir: Path, part: str = "") -> tuple[Data, str]:
        """The agent's own view, and its profile. Raises EvaluatorError where it has no labels."""

    def value(self, result: "ProxyResult") -> float:
        """The metric."""

    def wrong(self, score: "TaskScore") -> float:
        """What a model gets wrong on one problem, in the unit of `guess`."""

    def guess(self, y: "np.ndarray") -> float:
        """What the best answer that does not look at the input gets wrong. Raises ValueError where that is nothing."""


@dataclasses.dataclass(frozen=True)
class Mad:
    """MAD's problems. They are generated, so that nothing is read."""

    name: ClassVar[str] = MAD
    metric: ClassVar[str] = "Accuracy"
    profiles: ClassVar[tuple[str, ...]] = tuple(fidelity.PRESETS)

    def preset(self, profile: str) -> fidelity.Preset:
        return fidelity.get(profile)

    def write_agent(self, arguments: preparation.Arguments, part: str) -> None:
        from aira_jax.tasks.compose import mad_data

        seed, own = preparation.data_seed(PUBLIC_SEED), arguments.self_reported
        mad_data.write_agent(arguments.mount, profile=arguments.profile, seed=seed, self_reported=own, part=part)

    def write_labels(self, arguments: preparation.Arguments, part: str) -> None:
        from aira_jax.tasks.compose import mad_data

        seed = preparation.data_seed(PUBLIC_SEED)
        mad_data.write_labels(arguments.mount, profile=arguments.profile, seed=seed, split=arguments.split, part=part)

    def make(self, profile: str) -> Data:
        from aira_jax.tasks.compose import mad_data

        seed = preparation.data_seed(PUBLIC_SEED)
        origin = "the public seed" if seed == PUBLIC_SEED else preparation.HIDDEN_SEED
        print(f"generating the rows from {origin}", file=sys.stderr)
        return Data(mad_data.make(profile, seed), seed)

    def read(self, data_dir: Path, *, profile: str, split: Split, part: str = "") -> Data:
        from aira_jax.tasks.compose import mad_data

        return mad_data.read(data_dir, profile=profile, split=split, part=part)

    def read_self_reported(self, data_dir: Path, part: str = "") -> tuple[Data, str]:
        from aira_jax.tasks.compose import mad_data

        return mad_data.read_self_reported(data_dir, part)

    def value(self, result: "ProxyResult") -> float:
        return result.score

    def wrong(self, score: "TaskScore") -> float:
        return 1 - score.micro

    def guess(self, y: "np.ndarray") -> float:
        from aira_jax.tasks.compose import guessing

        return guessing.errors(y)


@dataclasses.dataclass(frozen=True)
class Text:
    """Windows of a corpus, which proxies/text_corpus.py finds."""

    name: str
    metric: ClassVar[str] = "Loss"
    profiles: ClassVar[tuple[str, ...]] = tuple(text_fidelity.PRESETS[text_fidelity.Kind.BABISTORIES])

    def preset(self, profile: str) -> text_fidelity.TextPreset:
        return text_fidelity.get(self.name, profile)

    def write_agent(self, arguments: preparation.Arguments, part: str) -> None:
        from aira_jax.tasks.compose import text_data

        own = {"self_reported": arguments.self_reported, "part": part}
        text_data.write_agent(arguments.mount, self.name, **self._source(arguments.profile, arguments.raw), **own)

    def write_labels(self, arguments: preparation.Arguments, part: str) -> None:
        from aira_jax.tasks.compose import text_data

        own = {"split": arguments.split, "part": part}
        text_data.write_labels(arguments.mount, self.name, **self._source(arguments.profile, arguments.raw), **own)

    def make(self, profile: str) -> Data:
        from aira_jax.tasks.compose import text_data

        print("making the windows anew", file=sys.stderr)
        try:
            source = self._source(profile)
            windows, _ = text_data.make(self.name, **source)
        except ValueError as error:
            raise EvaluatorError(str(error)) from error
        return Data({self.name: windows}, source["seed"])

    def _source(self, profile: str, raw: Path | None = None) -> dict[str, Any]:
        choice = text_corpus.choose(self.name, raw)
        if choice.path is None:
            variable = text_corpus.VARIABLES[self.name]
            print(f"{variable} is not set: corpus: builtin (generated stories, not {self.name})", file=sys.stderr)
        return {"profile": profile, "seed": preparation.data_seed(PUBLIC_SEED), "choice": choice}

    def read(self, data_dir: Path, *, profile: str, split: Split, part: str = "") -> Data:
        from aira_jax.tasks.compose import text_data

        return text_data.read(data_dir, profile=profile, split=split, part=part)

    def read_self_reported(self, data_dir: Path, part: str = "") -> tuple[Data, str]:
        from aira_jax.tasks.compose import text_data

        return text_data.read_self_reported(data_dir, part)

    def value(self, result: "ProxyResult") -> float:
        return result.loss

    def wrong(self, score: "TaskScore") -> float:
        return score.loss

    def guess(self, y: "np.ndarray") -> float:
        from aira_jax.tasks.compose import guessing

        return guessing.entropy(y)


def get(name: str) -> Proxy:
    """The proxy `name`. Raises ValueError with the nearest match."""
    if name not in NAMES:
        raise ValueError(choices.unknown("proxy", name, NAMES))
    return Mad() if name == MAD else Text(name)


@dataclasses.dataclass(frozen=True)
class Mix:
    """Which proxies count how much: weights above 0, by name. Only their ratios matter."""

    weights: Mapping[str, float]
    metric: ClassVar[str] = "RelativeError"
    profiles: ClassVar[tuple[str, ...]] = tuple(name for name in Mad.profiles if name in Text.profiles)

    def __post_init__(self):
        if not self.weights:
            raise ValueError(f"a mix needs at least one of {', '.join(NAMES)}")
        for name, weight in self.weights.items():
            get(name)
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < math.inf:
                raise ValueError(
                    f"weight of {name}: {weight!r} must be a number above 0; leave out what shall not count"
                )

    def mean(self, values: Mapping[str, float]) -> float:
        """The weighted mean of one value per proxy."""
        total = math.fsum(self.weights.values())
        return math.fsum(self.weights[name] * values[name] for name in self.weights) / total


def of(folder: Path) -> Proxy | Mix:
    """What a task folder scores on: `mix` or `corpus` in its metadata.yaml, MAD where it names neither."""
    import yaml

    told = yaml.safe_load((folder / "metadata.yaml").read_text(encoding="utf-8"))["aira_jax"]
    return Mix(told["mix"]) if "mix" in told else get(told.get("corpus", MAD))


def parts(asked: Proxy | Mix) -> dict[str, Proxy]:
    """Every proxy by the folder that holds its data: its own name in a mix, none for a single one."""
    return {name: get(name) for name in asked.weights} if isinstance(asked, Mix) else {"": asked}
