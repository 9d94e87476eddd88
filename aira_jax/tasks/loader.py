"""Task folders: which there are, what each of them says, and their data on disk.

    task = load("NeuralArchitectureSearchMAD2PrimitivesAccuracy")
    prepared = prepare(task, "smoke", "data")

A folder keeps the AIRS-Bench format; see schema.py for the keys of its metadata.yaml.
"""

import functools
import hashlib
import importlib.util
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from aira_jax.core import choices
from aira_jax.tasks import schema
from aira_jax.tasks.mounts import Prepared, prepare, prepare_test
from aira_jax.tasks.overview import data_overview

__all__ = [
    "Prepared",
    "Task",
    "UnknownTask",
    "data_overview",
    "load",
    "load_folder",
    "names",
    "prepare",
    "prepare_test",
]

FOLDER = Path(__file__).parent
PACKAGE = FOLDER.parent
_EXAMPLES = ("broken", "failing", "gold_submission")
_MAKERS = (".csv", ".py", ".yaml")  # of a task's data, by the end of their names


class UnknownTask(ValueError):
    """No folder has this name."""


@dataclass(frozen=True)
class Task:
    """A task as its folder describes it.

    `sha` covers what a candidate or a score can see: all files of the folder but its examples (broken/, failing/,
    gold_submission*), and the metadata without the key `modules`. `older_shas` are those of versions that mean the
    same, so that runs begun on them go on: older.json names them for exactly this `sha`.

    `optimum`, `sota` and `worst` are None where no finite value exists. `artifact` is the file that a candidate hands
    in, `editable` are globs of the files it may have, `starter` holds the files of a draft that starts from something.
    `executes_candidate` is false where the artifact is data. An `exclusive` task depends on the clock. `entry` is the
    script with which a candidate measures itself. `corpus` names the raw data from which its own are made
    (sources.py). `limits` has check_s, fit_s, score_s (seconds) and memory_gb.
    """

    name: str
    folder: Path
    sha: str
    older_shas: tuple[str, ...]
    metric: str
    lower_is_better: bool
    optimum: float | None
    sota: float | None
    worst: float | None
    artifact: str
    editable: tuple[str, ...]
    export_globs: tuple[str, ...]
    starter: Mapping[str, str]
    executes_candidate: bool
    exclusive: bool
    entry: str | None
    cli: int
    validation_is_test: bool
    profiles: Mapping[str, Mapping[str, Any]]
    limits: Mapping[str, float]
    description: str
    interface: str
    ns_epsilon: float | None
    modules: tuple[str, ...]
    space_file: str | None
    corpus: str | None = None

    @functools.cached_property
    def space(self) -> ModuleType | None:
        """The folder's space.py with `sample`, `mutate` and `crossover`, None if it has none."""
        if self.space_file is None:
            return None
        spec = importlib.util.spec_from_file_location(f"{self.name}_space", self.folder / self.space_file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def canonical(self, files: Mapping[str, str]) -> str | None:
        """A text that is equal for candidates of equal meaning; None if the task knows none for these files."""
        function = getattr(self.space, "canonical", None)
        return None if function is None else function(files)

    def data_overview(self, prepared: Prepared) -> str:
        """What lies in the agent's data folders: counts, shapes, types and two rows."""
        return data_overview(prepared.agent)

    @property
    def preparation_sha(self) -> str:
        """Hash of what makes the data: the folder's scripts, tables and metadata, and the modules that those name."""
        modules = {name: PACKAGE.parent.joinpath(*name.split(".")).with_suffix(".py") for name in self.modules}
        own = {path.name: path for path in sorted(self.folder.iterdir()) if path.suffix in _MAKERS}
        return _digest({name: path.read_bytes() for name, path in (own | modules).items()})


def names() -> tuple[str, ...]:
    """All tasks, sorted."""
    return tuple(sorted(path.parent.name for path in FOLDER.glob("*/metadata.yaml")))


def load(name: str) -> Task:
    """The task `name`. Raises UnknownTask with the nearest match, ValueError for a folder that is not in order."""
    known = names()
    if name not in known:
        raise UnknownTask(choices.unknown("task", name, known))
    return load_folder(FOLDER / name)


def load_folder(folder: Path) -> Task:
    """The task in any folder of the format. Raises ValueError that names file and key of what is wrong."""
    path = folder / "metadata.yaml"
    try:
        metadata = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such file") from error
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not valid YAML ({error})") from error
    schema.validate(metadata, folder.name, source=str(path))
    info, extension = metadata["logging_info"], {**_upstream(metadata), **metadata.get("aira_jax", {})}
    sha = _sha(folder, metadata)
    return Task(
        name=folder.name,
        folder=folder,
        sha=sha,
        older_shas=tuple(_older().get(sha, ())),
        metric=info["metric"],
        lower_is_better=metadata["metric_lower_is_better"],
        optimum=_finite(info.get("optimal_score")),
        sota=_finite(info["sota"][0]["sota_score"]),
        worst=_finite(info.get("estimated_worst_score")),
        artifact=extension["artifact"],
        editable=tuple(extension["editable"]),
        export_globs=tuple(metadata["file_export_globs"]),
        starter={name: _text(folder / "starter" / name) for name in extension["starter"]},
        executes_candidate=extension["executes_candidate"],
        exclusive=extension["exclusive"],
        entry=extension.get("entry"),
        cli=extension["cli"],
        validation_is_test=extension["validation_is_test"],
        profiles=extension["profiles"],
        limits=extension["limits"],
        description=_text(folder / "project_description.md"),
        interface=extension["interface"],
        ns_epsilon=extension.get("ns_epsilon"),
        modules=tuple(extension.get("modules", ())),
        space_file=extension.get("space"),
        corpus=extension.get("corpus"),
    )


def _upstream(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What holds for a folder without the block `aira_jax`: the original format, which has no validation scoring."""
    exports = metadata["file_export_globs"]
    return {
        "cli": 1,
        "artifact": exports[0],
        "editable": ["*.py"],
        "starter": [],
        "executes_candidate": False,
        "exclusive": False,
        "entry": "solution.py",
        "validation_is_test": False,
        "profiles": {"paper": {}},
        "limits": {"check_s": 60, "fit_s": 14_400, "score_s": 14_400, "memory_gb": 32},
        "interface": f"solution.py: a script that reads ./data and writes {', '.join(exports)}.",
    }


def _sha(folder: Path, metadata: Mapping[str, Any]) -> str:
    extension = {key: value for key, value in metadata.get("aira_jax", {}).items() if key != "modules"}
    told = json.dumps({**metadata, "aira_jax": extension}, sort_keys=True, default=str)
    contents = {str(path.relative_to(folder)): path.read_bytes() for path in _files(folder)}
    return _digest(contents | {"metadata.yaml": told.encode()})


@functools.cache
def _older() -> Mapping[str, Sequence[str]]:
    """From the hash of a folder to those of its earlier versions whose scores compare with its own."""
    return json.loads((FOLDER / "older.json").read_text(encoding="utf-8"))


def _files(folder: Path) -> Iterator[Path]:
    """All but examples and what Python leaves behind."""
    for path in sorted(folder.rglob("*")):
        first = path.relative_to(folder).parts[0]
        if path.is_file() and "__pycache__" not in path.parts and not first.startswith(_EXAMPLES):
            yield path


def _digest(contents: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name in sorted(contents):
        digest.update(b"%s\0%d\0%s" % (name.encode(), len(contents[name]), contents[name]))
    return digest.hexdigest()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such file; every task needs it") from error


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
