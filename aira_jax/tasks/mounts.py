"""The data of a task on disk, made once: what candidates see, and the labels of each split in a place of their own.

    <data_root>/raw/                                   downloads, read by prepare.py of tasks that need them
    <data_root>/prepared/<task>/<key>/mount/           train/, validation/, test/
    <data_root>/labels/<task>/<key>/<split>/mount/     <split>_with_labels/

`key` is a hash of the task's scripts, the profile, the data seed, the mode and the corpus if there is one: a change of
any makes a new folder. A folder appears in one step, complete, with a marker that says what it was made from.
"""

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from aira_jax.sandbox.base import Mount
from aira_jax.tasks import packages, sources
from aira_jax.tasks.evaluation import Split
from aira_jax.tasks.preparation import HIDDEN_SEED, private_root
from aira_jax.tasks.task import Task

MARKER = "prepared.json"
PACKAGE_ROOT = Path(__file__).parents[2]


@dataclasses.dataclass(frozen=True)
class Prepared:
    """Folders whose children appear under ./data of an execution; labels only for the evaluator.

    Beside its labels a split's mount may hold `<split>_inputs`, what a fit must answer: candidates see that too.
    `eval_validation` is None for tasks without validation scoring, `eval_test` until `prepare_test` made it.
    `labels_root` holds all labels of all tasks, `raw` what they were made from: no candidate may reach them.
    """

    agent: Path
    eval_validation: Path | None
    eval_test: Path | None
    labels_root: Path
    raw: tuple[Path, ...] = ()

    def mounts(self, split: str, *, trusted: bool) -> tuple[Mount, ...]:
        """What an execution sees under ./data; a trusted one sees the labels of `split`."""
        labels = {Split.VALIDATION: self.eval_validation, Split.TEST: self.eval_test}[Split(split)]
        folders = sorted(self.agent.iterdir())
        apart = [path for path in sorted(labels.iterdir()) if path.is_dir()] if labels else []
        folders += [path for path in apart if trusted or path.name == f"{split}_inputs"]
        return tuple(Mount(path, f"data/{path.name}") for path in folders)

    @property
    def hidden(self) -> tuple[Path, ...]:
        """What no candidate may reach."""
        places = (self.labels_root, self.eval_validation, self.eval_test, *self.raw, private_root())
        return tuple(path for path in places if path)


def prepare(
    task: Task,
    profile: str,
    data_root: str | Path,
    hidden_seed: int | None = None,
    self_reported: bool = False,
) -> Prepared:
    """Makes the data that a search needs, unless they are there. Test labels are not made.

    `hidden_seed` replaces the public data seed; use 64 random bits. `self_reported`: the agent's validation rows are
    labelled. Raises ValueError for an unknown profile or when a task's script fails.
    """
    place = _Place.of(task, profile, data_root, hidden_seed, self_reported)
    place.build()
    return place.prepared()


def prepare_test(
    task: Task,
    profile: str,
    data_root: str | Path,
    hidden_seed: int | None = None,
    self_reported: bool = False,
) -> Prepared:
    """As `prepare`, and the test labels as well: for the scoring of a finished search."""
    place = _Place.of(task, profile, data_root, hidden_seed, self_reported)
    place.build()
    place.build_labels(Split.TEST)
    return place.prepared()


def discard(
    task: Task, profile: str, data_root: str | Path, hidden_seed: int | None = None, self_reported: bool = False
) -> None:
    """Removes what `prepare` and `prepare_test` made for these arguments; they make it again, row by row."""
    place = _Place.of(task, profile, data_root, hidden_seed, self_reported)
    for folder in (place.agent, place.labels(Split.TEST).parent):
        shutil.rmtree(folder, ignore_errors=True)


@dataclasses.dataclass(frozen=True)
class _Place:
    """Where the data of one (task, profile, seed, mode) lie."""

    task: Task
    root: Path
    marker: Mapping[str, str | bool]
    hidden_seed: int | None
    files: tuple[Path, ...] = ()

    @classmethod
    def of(cls, task, profile: str, data_root, hidden_seed: int | None, self_reported: bool) -> "_Place":
        if profile not in task.profiles:
            raise ValueError(f"task {task.name} has no profile {profile!r}; known: {', '.join(task.profiles)}")
        if hidden_seed is not None and hidden_seed < 0:
            raise ValueError("the hidden seed must not be negative")
        seed = "public" if hidden_seed is None else hashlib.sha256(b"data seed %d" % hidden_seed).hexdigest()
        scripts = task.preparation_sha
        root = Path(data_root).absolute()
        marker = {"scripts": scripts, "profile": profile, "seed": seed, "self_reported": self_reported}
        if task.corpus is None:
            return cls(task, root, marker, hidden_seed)
        choice = sources.choose(task.corpus, root / "raw")
        return cls(task, root, marker | {"corpus": choice.fingerprint}, hidden_seed, sources.files(choice))

    @property
    def key(self) -> str:
        digest = hashlib.sha256(json.dumps(self.marker, sort_keys=True).encode()).hexdigest()
        return f"{self.marker['profile']}-{digest[:16]}"

    @property
    def agent(self) -> Path:
        return self.root / "prepared" / self.task.name / self.key

    def labels(self, split: Split) -> Path:
        return self.root / "labels" / self.task.name / self.key / split

    def prepared(self) -> Prepared:
        validation, test = (path / "mount" if path.exists() else None for path in map(self.labels, Split))
        raw = tuple(path for path in (self.root / "raw", *self.files) if path.exists())
        return Prepared(self.agent / "mount", validation, test, self.root / "labels", raw)

    def build(self) -> None:
        """Everything but the test labels."""
        self.build_agent()
        if self.task.cli >= 2:
            self.build_labels(Split.VALIDATION)

    def build_agent(self) -> None:
        flags = ["--self-reported"] * bool(self.marker["self_reported"])
        self._build(self.agent, "prepare.py", flags)

    def build_labels(self, split: Split) -> None:
        self._build(self.labels(split), "evaluate_prepare.py", [f"--split={split}"])

    def _build(self, final: Path, script: str, flags: Sequence[str]) -> None:
        try:
            if not self._is_complete(final):
                self._make(final, script, flags)
        except OSError as error:
            raise ValueError(
                f"cannot prepare the data of {self.task.name} below {self.root}: {error}\n"
                "    make room or mend the permission there, or choose another --config.paths.data_root"
            ) from error

    def _make(self, final: Path, script: str, flags: Sequence[str]) -> None:
        final.parent.mkdir(parents=True, exist_ok=True)
        raw = self.root / "raw"
        raw.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=final.parent, prefix=".making-"))
        try:
            mount = temporary / "mount"
            mount.mkdir()
            command = [f"--global-shared-data-dir={raw}", f"--agent-data-mount-dir={mount}"]
            if self.task.cli >= 2:
                command += [f"--profile={self.marker['profile']}", *flags]
            else:
                command.append(f"--agent-log-dir={self._empty_log(temporary)}")
            self._run(script, command)
            if self.task.cli < 2:
                self._remove_exports(mount, temporary)
            _make_read_only(mount)
            (temporary / MARKER).write_text(json.dumps(self.marker, sort_keys=True), encoding="utf-8")
            self._move(temporary, final)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _empty_log(self, temporary: Path) -> Path:
        """The folder of an agent that handed in empty files: scripts of the original format copy them beside labels."""
        log = temporary / "log"
        log.mkdir()
        for name in self._exports():
            (log / name).touch()
        return log

    def _remove_exports(self, mount: Path, temporary: Path) -> None:
        shutil.rmtree(temporary / "log")
        for name in self._exports():
            (mount / name).unlink(missing_ok=True)

    def _exports(self) -> list[str]:
        return [name for name in self.task.export_globs if not set("*?[/") & set(name)]

    def _move(self, temporary: Path, final: Path) -> None:
        """Puts a finished folder into its place. What another process finished meanwhile stays; a damaged one goes."""
        try:
            os.rename(temporary, final)
        except OSError:
            if self._is_complete(final):
                return
            damaged = Path(tempfile.mkdtemp(dir=final.parent, prefix=".damaged-"))
            os.rename(final, damaged / "old")
            shutil.rmtree(damaged, ignore_errors=True)
            os.rename(temporary, final)

    def _is_complete(self, final: Path) -> bool:
        try:
            return json.loads((final / MARKER).read_text(encoding="utf-8")) == self.marker
        except (FileNotFoundError, ValueError):
            return False

    def _run(self, script: str, flags: Sequence[str]) -> None:
        env = script_environment() | ({} if self.hidden_seed is None else {HIDDEN_SEED: str(self.hidden_seed)})
        command = [sys.executable, str(self.task.folder / script), *flags]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            advice = packages.advice(self.task.name, self.task.requirements)
            raise ValueError(
                f"{script} of {self.task.name} ended with exit code {done.returncode}:\n{done.stderr[-2000:].strip()}\n"
                f"    the command was: {' '.join(command)}" + (f"\n{advice}" if advice else "")
            )


def script_environment() -> dict[str, str]:
    """The environment of a task's own script: it finds this package, and it has no hidden seed."""
    env = {name: value for name, value in os.environ.items() if name != HIDDEN_SEED}
    return env | {"PYTHONPATH": os.pathsep.join(filter(None, (str(PACKAGE_ROOT), env.get("PYTHONPATH"))))}


def _make_read_only(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(0o444)
