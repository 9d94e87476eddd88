"""Task folders: which there are, and what each of them says.

    task = load("NeuralArchitectureSearchMAD2PrimitivesAccuracy")
    task = load("my/task")

A folder keeps the AIRS-Bench format; see schema.py for the keys of its metadata.yaml.
"""

import functools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from aira_jax.core import choices
from aira_jax.tasks import schema
from aira_jax.tasks.evaluation import Isolation
from aira_jax.tasks.task import Task, digest

FOLDER = Path(__file__).parent
_REQUIREMENTS = (
    "prepare_code_python_requirements",
    "container_python_requirements",
    "evaluate_container_python_requirements",
)
_EXAMPLES = ("broken", "failing", "gold_submission")


class UnknownTask(ValueError):
    """No folder has this name."""


def names() -> tuple[str, ...]:
    """All tasks, sorted."""
    return tuple(sorted(path.parent.name for path in FOLDER.glob("*/metadata.yaml")))


def load(name_or_path: str | Path) -> Task:
    """The task of this package with that name, or the task in a folder: a text with a `/` or `~` in it is a path.

    Raises UnknownTask with the nearest match, ValueError for a folder that does not exist or is not in order.
    """
    if is_path(name_or_path):
        folder = folder_of(name_or_path)
        if not folder.is_dir():
            raise ValueError(f"task {name_or_path}: no such folder; name a task folder, or one of {', '.join(names())}")
        return load_folder(folder)
    known = names()
    if name_or_path not in known:
        raise UnknownTask(choices.unknown("task", name_or_path, known) + "; a folder of your own is written ./NAME")
    return load_folder(FOLDER / name_or_path)


def is_path(name_or_path: str | Path) -> bool:
    """Whether a task is named by its folder."""
    return isinstance(name_or_path, Path) or "/" in name_or_path or name_or_path.startswith(("~", "."))


def spelled(task: Task) -> str:
    """What `load` takes for the task, wherever it is called: its name if it is of this package, else its folder."""
    return task.name if task.folder.parent == FOLDER else str(task.folder)


def folder_of(path: str | Path) -> Path:
    """The absolute folder that a path names; its last part is the task's name."""
    return Path(path).expanduser().resolve()


def rules_of(folder: Path) -> schema.Rules:
    """Our own rules for the folders of this package, the format's for everyone else's."""
    return schema.Rules.OWN if folder.resolve().is_relative_to(FOLDER.resolve()) else schema.Rules.FORMAT


def load_folder(folder: Path, rules: schema.Rules | None = None) -> Task:
    """The task in any folder of the format, by default under `rules_of(folder)`.

    Raises ValueError that names file and key of what is wrong.
    """
    path = folder / "metadata.yaml"
    try:
        metadata = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such file") from error
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not valid YAML ({error})") from error
    schema.validate(metadata, folder.name, rules=rules or rules_of(folder), source=str(path))
    for script in folder.glob("*.py"):
        if not script.exists():
            raise ValueError(f"{script}: a link to a file that is not there; copy task folders with cp -rL")
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
        isolation=Isolation(extension.get("isolation", Isolation.PROCESS)),
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
        requirements=tuple(
            dict.fromkeys(name for key in _REQUIREMENTS for name in schema.packages(metadata.get(key, [])))
        ),
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
    return digest(contents | {"metadata.yaml": told.encode()})


@functools.cache
def _older() -> Mapping[str, Sequence[str]]:
    """From the hash of a folder to those of its earlier versions whose scores compare with its own."""
    return json.loads(Path(__file__).with_name("older.json").read_text(encoding="utf-8"))


def _files(folder: Path) -> Iterator[Path]:
    """All but examples and what Python leaves behind."""
    for path in sorted(folder.rglob("*")):
        first = path.relative_to(folder).parts[0]
        if path.is_file() and "__pycache__" not in path.parts and not first.startswith(_EXAMPLES):
            yield path


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such file; every task needs it") from error


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
