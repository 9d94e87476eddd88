"""Self-test of a task folder: its metadata, the command lines of its scripts, its data, and what evaluate.py answers.

Examples of failure lie in the folder itself or in one beside it: `broken/` holds submissions that must be refused, one
file (or folder) each, and `failing/` valid ones that fail while they train. A name that begins with a class of failure
expects it.
"""

import contextlib
import dataclasses
import json
import math
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from aira_jax.core.failures import OF_THE_PROGRAM
from aira_jax.tasks import client, loader, mounts, packages
from aira_jax.tasks.evaluation import Exit, Split
from aira_jax.tasks.schema import Rules
from aira_jax.tasks.task import Task

HEADINGS = (
    "# Overview",
    "## Task Description",
    "## Data",
    "### Dataset Structure",
    "### Submission file",
    "### Evaluation",
)
PREPARE_FLAGS = ("--global-shared-data-dir", "--agent-data-mount-dir", "--agent-log-dir")
EVALUATE_FLAGS = ("--submission-file", "--split", "--stage", "--workdir", "--seed", "--profile", "--time-limit-s")
RESULT_KEYS = {
    *("metric", "value", "split", "stage", "seed", "profile", "failure_class", "message", "wall_s", "train_s"),
    *("device_s", "n_params", "steps", "curve", "extra"),
}
PROFILE = "smoke"
_DRAWS = 20


@dataclasses.dataclass(frozen=True)
class Finding:
    """The outcome of one claim about a task; `problem` is empty where it holds."""

    claim: str
    problem: str
    seconds: float

    @property
    def holds(self) -> bool:
        return not self.problem


class _Broken(Exception):
    """A claim does not hold."""


def check(
    folder: Path,
    *,
    train: bool = True,
    examples: Path | None = None,
    rules: Rules | None = None,
    data_root: Path | None = None,
) -> Iterator[Finding]:
    """Examines a task folder, claim by claim. `train` false leaves out all that trains a candidate.

    `examples` is where broken/ and failing/ lie; None: in the folder itself. `rules` are by default our own for folders
    of this package, else the format's (loader.rules_of). Raw data for the scripts lie in `data_root`/raw.
    """
    rules = rules or loader.rules_of(folder)
    try:
        task = loader.load_folder(folder, rules)
    except ValueError as error:
        yield Finding("metadata.yaml and the files that it names are in order", str(error), 0.0)
        return
    with tempfile.TemporaryDirectory(prefix="task-check-") as scratch:
        if data_root is not None:
            (Path(scratch) / "data").mkdir()
            (Path(scratch) / "data" / "raw").symlink_to(data_root.absolute() / "raw")
        bench = _Bench(task, Path(scratch), examples or folder)
        if task.cli < 2 and rules is Rules.FORMAT:
            for claim in (
                bench.packages_are_installed,
                bench.preparing_into_no_directory_ends_with_exit_1,
                bench.data_are_prepared_with_labels_apart,
                bench.bad_submissions_end_with_exit_2_and_no_score,
            ):
                yield _examine(claim)
            return
        claims: list[Callable[[], None]] = [
            bench.metadata_is_in_order,
            bench.description_has_all_headings,
            bench.scripts_have_their_flags,
            bench.preparing_into_no_directory_ends_with_exit_1,
            bench.data_are_prepared_with_labels_apart,
            bench.starter_passes_the_static_check_without_jax,
            bench.gold_submissions_pass_the_static_check,
            bench.bad_submissions_end_with_exit_2_and_no_score,
            bench.space_yields_valid_candidates,
        ]
        if train:
            claims += [
                bench.starter_scores_on_validation,
                bench.starter_scores_on_test,
                bench.time_limit_ends_with_exit_3_and_no_score,
                bench.failing_candidates_end_with_exit_3_and_their_class,
            ]
        for claim in claims:
            yield _examine(claim)


def _examine(claim: Callable[[], None]) -> Finding:
    start, problem = time.monotonic(), ""
    try:
        claim()
    except (_Broken, ValueError) as error:
        problem = str(error)
    return Finding(claim.__name__.replace("_", " "), problem, time.monotonic() - start)


@dataclasses.dataclass(frozen=True)
class _Run:
    """A finished evaluate.py."""

    code: int
    stdout: str
    stderr: str
    result: Mapping | None

    def must_end_with(self, code: Exit, what: str) -> None:
        if self.code != code:
            raise _Broken(f"{what}: exit code {self.code}, expected {int(code)}\n{self.stderr.strip()[-1500:]}")

    def must_hold_no_score(self, what: str) -> None:
        if client.RESULT_BLOCK.search(self.stdout) or (self.result or {}).get("value") is not None:
            raise _Broken(f"{what}: a score was given")

    def must_have_class(self, failure: str, what: str) -> None:
        found = (self.result or {}).get("failure_class")
        if found != failure:
            raise _Broken(f"{what}: the result file must have failure_class {failure}, found {found}")


class _Bench:
    def __init__(self, task: Task, scratch: Path, examples: Path):
        self.task, self.scratch, self.examples = task, scratch, examples

    def metadata_is_in_order(self) -> None:
        if PROFILE not in self.task.profiles:
            raise _Broken(f"aira_jax.profiles has no {PROFILE}")

    def description_has_all_headings(self) -> None:
        lines = [line.rstrip() for line in self.task.description.splitlines()]
        missing = [heading for heading in HEADINGS if heading not in lines]
        if missing:
            raise _Broken(f"project_description.md lacks {', '.join(missing)}")

    def scripts_have_their_flags(self) -> None:
        wanted = {
            "prepare.py": PREPARE_FLAGS,
            "evaluate_prepare.py": PREPARE_FLAGS,
            "evaluate.py": (*EVALUATE_FLAGS, "--result-file", "--data-dir"),
        }
        for script, flags in wanted.items():
            shown = self._python(script, ["--help"], cwd=self.scratch)
            if shown.returncode:
                raise _Broken(f"{script} --help: exit code {shown.returncode}\n{shown.stderr[-1500:]}")
            missing = [flag for flag in flags if flag not in shown.stdout]
            if missing:
                raise _Broken(f"{script} has no {', '.join(missing)}")

    def preparing_into_no_directory_ends_with_exit_1(self) -> None:
        for script in ("prepare.py", "evaluate_prepare.py"):
            nowhere = self.scratch / "nowhere"
            flags = [f"--global-shared-data-dir={self.scratch}", f"--agent-data-mount-dir={nowhere}"]
            code = self._python(script, flags, cwd=self.scratch).returncode
            if code != 1 or nowhere.exists():
                raise _Broken(f"{script} with a missing directory: exit code {code}, expected 1 and nothing written")

    def data_are_prepared_with_labels_apart(self) -> None:
        prepared = self._prepared()
        found = sorted(path.name for path in prepared.agent.iterdir())
        if self.task.cli < 2:
            self._must_be_apart(found, prepared)
            return
        if found != ["test", "train", "validation"]:
            raise _Broken(f"the agent's folder holds {', '.join(found)}, expected test, train, validation")
        for split, mount in zip(Split, (prepared.eval_validation, prepared.eval_test), strict=True):
            labels = sorted(path.name for path in mount.iterdir()) if mount else []
            expected = [f"{split}_inputs"] * self.task.executes_candidate + [f"{split}_with_labels"]
            if labels != expected:
                raise _Broken(f"the labels of {split} are {labels}, expected {' and '.join(expected)}")

    def _must_be_apart(self, found: Sequence[str], prepared: mounts.Prepared) -> None:
        labels = sorted(path.name for path in prepared.eval_test.iterdir())
        if not {"test", "train"} <= set(found) or labels != ["test_with_labels"]:
            raise _Broken(
                f"the agent's folder holds {', '.join(found)}, that of the labels {', '.join(labels)}; "
                "expected at least train and test, and test_with_labels"
            )

    def packages_are_installed(self) -> None:
        advice = packages.advice(self.task.name, self.task.requirements)
        if advice:
            raise _Broken(advice)

    def starter_passes_the_static_check_without_jax(self) -> None:
        run = self._evaluate(self.task.starter, ["--stage=check"], python=["-X", "importtime"])
        run.must_end_with(Exit.SCORED, "the starter")
        run.must_hold_no_score("the starter")
        if re.search(r"\|\s+jax$", run.stderr, re.MULTILINE):
            raise _Broken("--stage=check imports jax, which makes it slow")

    def gold_submissions_pass_the_static_check(self) -> None:
        for path in sorted(self.task.folder.glob("gold_submission*")):
            run = self._evaluate(_candidate(path, self.task.artifact), ["--stage=check"])
            run.must_end_with(Exit.SCORED, path.name)

    def bad_submissions_end_with_exit_2_and_no_score(self) -> None:
        broken = sorted((self.examples / "broken").glob("*"))
        cases = {path.name: _candidate(path, self.task.artifact) for path in broken}
        cases |= {"an absent file": {}, "an empty file": {self.task.artifact: ""}}
        for name, files in cases.items():
            run = self._evaluate(files, [], split=Split.TEST if self.task.cli < 2 else None)
            run.must_end_with(Exit.INVALID, name)
            run.must_hold_no_score(name)
            if self.task.cli < 2:
                continue
            if self.task.artifact not in run.stderr or "Traceback" in run.stderr:
                raise _Broken(f"{name}: the message must name {self.task.artifact} and show no traceback")
            run.must_have_class(_class_of(name, "interface"), name)

    def space_yields_valid_candidates(self) -> None:
        space = self.task.space
        if space is None:
            return
        rng = np.random.default_rng(0)
        parents = [space.sample(rng), space.sample(rng)]
        for _ in range(_DRAWS):
            child = space.mutate(parents[0], rng)
            if child == parents[0]:
                raise _Broken("mutate returned its parent")
            parents = [space.crossover(child, parents[1], rng), child]
        for files in parents:
            self._evaluate(files, ["--stage=check"]).must_end_with(Exit.SCORED, "a candidate of space.py")

    def failing_candidates_end_with_exit_3_and_their_class(self) -> None:
        for path in sorted((self.examples / "failing").glob("*")):
            run = self._evaluate(_candidate(path, self.task.artifact), [], split=Split.VALIDATION)
            run.must_end_with(Exit.FAILED, path.name)
            run.must_hold_no_score(path.name)
            run.must_have_class(_class_of(path.name, "exit"), path.name)

    def starter_scores_on_validation(self) -> None:
        self._score(Split.VALIDATION)

    def starter_scores_on_test(self) -> None:
        self._score(Split.TEST)

    def time_limit_ends_with_exit_3_and_no_score(self) -> None:
        run = self._evaluate(self.task.starter, ["--time-limit-s=0.001", "--seed=1"], split=Split.TEST)
        run.must_end_with(Exit.FAILED, "--time-limit-s=0.001")
        run.must_hold_no_score("--time-limit-s=0.001")
        run.must_have_class("timeout", "--time-limit-s=0.001")

    def _score(self, split: Split) -> None:
        run = self._evaluate(self.task.starter, [], split=split)
        run.must_end_with(Exit.SCORED, f"the starter on {split}")
        blocks = client.RESULT_BLOCK.findall(run.stdout)
        if len(blocks) != 1:
            raise _Broken(f"{len(blocks)} result blocks on stdout, expected one")
        block = json.loads(blocks[0])
        numeric = {key: value for key, value in block.items() if isinstance(value, (int, float))}
        value = numeric.get(self.task.metric)
        if set(numeric) != {self.task.metric} or not math.isfinite(value):
            raise _Broken(f"the result block must have {self.task.metric} as its only number, found {block}")
        if run.result is None or set(run.result) != RESULT_KEYS:
            raise _Broken(f"the result file must have exactly the keys {', '.join(sorted(RESULT_KEYS))}")
        if run.result["value"] != value or run.result["failure_class"] is not None:
            raise _Broken(f"the result file and the result block differ: {run.result['value']} and {value}")

    def _prepared(self) -> mounts.Prepared:
        profile = PROFILE if self.task.cli >= 2 else next(iter(self.task.profiles))
        return mounts.prepare_test(self.task, profile, self.scratch / "data")

    def _evaluate(self, files, flags: Sequence[str], *, split: Split | None = None, python: Sequence[str] = ()) -> _Run:
        """Runs evaluate.py in a fresh work directory; `split` None leaves ./data out."""
        with self._workdir(files, split) as workdir:
            common = [f"--submission-file={self.task.artifact}"]
            if self.task.cli < 2:
                done = self._python("evaluate.py", common, cwd=workdir, python=python)
                return _Run(done.returncode, done.stdout, done.stderr, None)
            common += [f"--profile={PROFILE}", f"--result-file={client.RESULT_FILE}"]
            wanted = [] if split is None else [f"--split={split}"]
            done = self._python("evaluate.py", [*common, *wanted, *flags], cwd=workdir, python=python)
            content = client.read_result(workdir / client.RESULT_FILE)
        return _Run(done.returncode, done.stdout, done.stderr, content)

    @contextlib.contextmanager
    def _workdir(self, files: Mapping[str, str], split: Split | None) -> Iterator[Path]:
        workdir = Path(tempfile.mkdtemp(dir=self.scratch, prefix="work-"))
        for name, text in files.items():
            path = workdir / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        if split is not None:
            prepared = self._prepared()
            labels = {Split.VALIDATION: prepared.eval_validation, Split.TEST: prepared.eval_test}[split]
            (workdir / "data").mkdir()
            for child in (*prepared.agent.iterdir(), *labels.iterdir()):
                (workdir / "data" / child.name).symlink_to(child)
        yield workdir
        shutil.rmtree(workdir)

    def _python(self, script: str, flags: Sequence[str], *, cwd: Path, python: Sequence[str] = ()):
        command = [sys.executable, *python, str(self.task.folder / script), *flags]
        env = mounts.script_environment()
        limit = self.task.limits["score_s"]
        try:
            return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=limit, check=False)
        except subprocess.TimeoutExpired as error:
            raise _Broken(f"{script} ran longer than limits.score_s = {limit:g} s") from error


def _class_of(name: str, default: str) -> str:
    """The class of failure that the name of an example begins with."""
    return next((str(c) for c in OF_THE_PROGRAM if re.match(rf"{c}(_|\.|$)", name)), default)


def _candidate(path: Path, artifact: str) -> dict[str, str]:
    """The files of an example: one file stands for the artifact, a folder for all of its files."""
    if path.is_file():
        return {artifact: path.read_text(encoding="utf-8")}
    return {str(p.relative_to(path)): p.read_text(encoding="utf-8") for p in path.rglob("*") if p.is_file()}
