"""A task, as its folder describes it."""

import functools
import hashlib
import importlib.util
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from aira_jax.core import sources
from aira_jax.tasks.evaluation import Isolation

_MAKERS = (".csv", ".py", ".yaml")  # of a task's data, by the end of their names


@dataclass(frozen=True)
class Task:
    """A task as its folder describes it.

    `sha` covers what a candidate or a score can see: all files of the folder but its examples (broken/, failing/,
    gold_submission*), and the metadata without the key `modules`. `older_shas` are those of versions that mean the
    same, so that runs begun on them go on: older.json names them for exactly this `sha`.

    `optimum`, `sota` and `worst` are None where no finite value exists. `artifact` is the file that a candidate hands
    in, `editable` are globs of the files it may have, `starter` holds the files of a draft that starts from something.
    `executes_candidate` is false where the artifact is data, else `isolation` says how its code runs. An `exclusive`
    task depends on the clock. `entry` is the script with which a candidate measures itself. `corpus` names the raw data
    from which its own are made (sources.py). `limits` has check_s, fit_s, score_s (seconds) and memory_gb.
    `requirements` are the packages for its scripts and its candidates, as pip reads them.
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
    isolation: Isolation
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
    requirements: tuple[str, ...] = ()

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

    @property
    def preparation_sha(self) -> str:
        """Hash of what makes the data: the folder's scripts, tables and metadata, and all modules that its two scripts
        of preparation import, directly or not. `modules` names others."""
        scripts = (self.folder / name for name in ("prepare.py", "evaluate_prepare.py"))
        imported = (sources.imported_by(path.read_text(encoding="utf-8")) for path in scripts if path.exists())
        own = (path for path in sorted(self.folder.iterdir()) if path.suffix in _MAKERS)
        return sources.digest({*self.modules, *itertools.chain(*imported)}, files=own)


def digest(contents: Mapping[str, bytes]) -> str:
    """sha256 over names and contents, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(contents):
        digest.update(b"%s\0%d\0%s" % (name.encode(), len(contents[name]), contents[name]))
    return digest.hexdigest()
