"""The proxies that a Compose task can score on: where their data come from, and what counts of a result.

Numpy is imported when data are made or read: the static check of a submission goes without it.
"""

import abc
import dataclasses
import importlib
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

from aira_jax.core import choices
from aira_jax.proxies import fidelity, text_corpus, text_fidelity
from aira_jax.tasks import preparation
from aira_jax.tasks.evaluation import EvaluatorError, Split

if TYPE_CHECKING:
    import numpy as np

    from aira_jax.proxies.result import ProxyResult, TaskScore

PUBLIC_SEED = 12345
NAMES = text_fidelity.PROXIES


@dataclasses.dataclass(frozen=True)
class Data:
    """What an evaluation needs: the data set of each problem of a proxy. `seed` identifies the rows in cache keys."""

    datasets: Mapping[str, Any]
    seed: int


@dataclasses.dataclass(frozen=True)
class Proxy(abc.ABC):
    """One source of rows and the measure on them. `part` names its folder where a task has several data sets."""

    name: str
    metric: ClassVar[str]
    profiles: ClassVar[tuple[str, ...]]
    module: ClassVar[str]  # beside this one: how its rows lie on a disk

    def preset(self, profile: str) -> Any:
        """How a pattern is trained at a profile."""
        return text_fidelity.of(self.name, profile)

    def write_agent(self, arguments: preparation.Arguments, part: str) -> None:
        """Writes what the agent may see."""
        source = self._source(arguments.profile, arguments.raw)
        self._rows.write_agent(arguments.mount, **source, self_reported=arguments.self_reported, part=part)

    def write_labels(self, arguments: preparation.Arguments, part: str) -> None:
        """Writes what only the evaluator may see of one split."""
        source = self._source(arguments.profile, arguments.raw)
        self._rows.write_labels(arguments.mount, **source, split=arguments.split, part=part)

    def make(self, profile: str) -> Data:
        """The data anew, for an evaluation that has none. Raises EvaluatorError."""
        try:
            source = self._source(profile)
            return Data(self._made(source), source["seed"])
        except ValueError as error:
            raise EvaluatorError(str(error)) from error

    def read(self, data_dir: Path, *, profile: str, split: Split, part: str = "") -> Data:
        """The prepared data of one evaluation. Raises EvaluatorError."""
        return self._rows.read(data_dir, profile=profile, split=split, part=part)

    def read_self_reported(self, data_dir: Path, part: str = "") -> tuple[Data, str]:
        """The agent's own view, and its profile. Raises EvaluatorError where it has no labels."""
        return self._rows.read_self_reported(data_dir, part)

    @abc.abstractmethod
    def value(self, result: "ProxyResult") -> float:
        """The metric."""

    @abc.abstractmethod
    def wrong(self, score: "TaskScore") -> float:
        """What a model gets wrong on one problem, in the unit of `guess`."""

    @abc.abstractmethod
    def guess(self, y: "np.ndarray") -> float:
        """What the best answer that does not look at the input gets wrong. Raises ValueError where that is nothing."""

    @property
    def _rows(self) -> ModuleType:
        return importlib.import_module(f"aira_jax.tasks.compose.{self.module}")

    def _source(self, profile: str, raw: Path | None = None) -> dict[str, Any]:
        """What rows are made from, as arguments of the module."""
        del raw
        return {"profile": profile, "seed": preparation.data_seed(PUBLIC_SEED)}

    @abc.abstractmethod
    def _made(self, source: Mapping[str, Any]) -> Mapping[str, Any]:
        """The data sets of a source."""


@dataclasses.dataclass(frozen=True)
class Mad(Proxy):
    """MAD's problems. They are generated, so that nothing is read."""

    name: str = text_fidelity.MAD
    metric = "Accuracy"
    profiles = tuple(fidelity.PRESETS)
    module = "mad_data"

    def _made(self, source: Mapping[str, Any]) -> Mapping[str, Any]:
        origin = "the public seed" if source["seed"] == PUBLIC_SEED else preparation.HIDDEN_SEED
        print(f"generating the rows from {origin}", file=sys.stderr)
        return self._rows.make(**source)

    def value(self, result: "ProxyResult") -> float:
        return result.score

    def wrong(self, score: "TaskScore") -> float:
        return 1 - score.micro

    def guess(self, y: "np.ndarray") -> float:
        from aira_jax.tasks.compose import guessing

        return guessing.errors(y)


@dataclasses.dataclass(frozen=True)
class Text(Proxy):
    """Windows of a corpus, which proxies/text_corpus.py finds."""

    metric = "Loss"
    profiles = tuple(text_fidelity.PRESETS[text_fidelity.Kind.BABISTORIES])
    module = "text_data"

    def _source(self, profile: str, raw: Path | None = None) -> dict[str, Any]:
        choice = text_corpus.choose(self.name, raw)
        if choice.path is None:
            variable = text_corpus.VARIABLES[self.name]
            print(f"{variable} is not set: corpus: builtin (generated stories, not {self.name})", file=sys.stderr)
        return {**super()._source(profile), "kind": self.name, "choice": choice}

    def _made(self, source: Mapping[str, Any]) -> Mapping[str, Any]:
        print("making the windows anew", file=sys.stderr)
        return {self.name: self._rows.make(**source)[0]}

    def value(self, result: "ProxyResult") -> float:
        return result.loss

    def wrong(self, score: "TaskScore") -> float:
        return score.loss

    def guess(self, y: "np.ndarray") -> float:
        from aira_jax.tasks.compose import guessing

        return guessing.entropy(y)


def get(name: str) -> Proxy:
    """The proxy `name`. Raises ValueError with the nearest match."""
    return Mad() if choices.among("proxy", name, NAMES) == text_fidelity.MAD else Text(name)


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
    return Mix(told["mix"]) if "mix" in told else get(told.get("corpus", text_fidelity.MAD))


def parts(asked: Proxy | Mix) -> dict[str, Proxy]:
    """Every proxy by the folder that holds its data: its own name in a mix, none for a single one."""
    return {name: get(name) for name in asked.weights} if isinstance(asked, Mix) else {"": asked}
