"""A search that costs milliseconds: a toy task, and a sandbox that runs its evaluator in this process."""

import contextlib
import dataclasses
import importlib.util
import io
import json
import random
import threading
import time
from pathlib import Path

from aira_jax.sandbox.base import Execution, Isolation, Job, Status
from aira_jax.search import run
from aira_jax.search.log import events
from aira_jax.search.log.tree import Tree
from aira_jax.search.settings import Settings, to_config

TASKS = Path(__file__).parent / "toy_tasks"
TASK = "ToyNumbersAccuracy"


def _evaluator():
    spec = importlib.util.spec_from_file_location("toy_evaluate", TASKS / TASK / "evaluate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.evaluate


EVALUATE = _evaluator()


class LabRunning:
    """Runs the toy evaluator when told to go; `kill` ends a sleep at once."""

    isolation = Isolation(True, True, True, "cgroup2")
    pid, pid_starttime = 2**30, 0

    def __init__(self, job: Job, lab):
        self.job, self._lab, self._killed = job, lab, threading.Event()

    def go(self):
        pass

    def kill(self):
        self._killed.set()

    def wait(self) -> Execution:
        if self.job.argv[-1] == "solution.py":
            return self._solution()
        flags = dict(zip(self.job.argv[2::2], self.job.argv[3::2], strict=True))
        if "--stage" not in flags:
            return self._upstream()
        start = time.monotonic()
        pause = self._lab.before(self.job, flags) or 0.0
        self._killed.wait(min(pause, self.job.limits.wall_s))
        wall_s = time.monotonic() - start
        ended = "cancelled" if self._killed.is_set() else "wall" if pause > self.job.limits.wall_s else None
        if ended:
            return Execution(Status.KILLED, None, 9, wall_s, 0.0, 0, "", "", 0, killed_for=ended)
        if flags["--stage"] == "fit":
            (self.job.workdir / "predictions").mkdir()
            (self.job.workdir / "predictions" / "p.txt").write_text("1")
            return Execution(Status.OK, 0, None, wall_s, 0.0, 0, "", "", 0)
        code, result = EVALUATE(
            self.job.workdir / "answer.txt", flags["--stage"], flags["--split"], int(flags["--seed"])
        )
        if flags["--split"] == "test" and self._lab.test_value is not None:
            result["value"] = next(self._lab.test_value)
        (self.job.workdir / "result.json").write_text(json.dumps(result))
        text = (result["message"] or "ok") + "\n"
        return Execution(Status.FAIL if code else Status.OK, code, None, wall_s, 0.0, 0, text, "", 0)

    def _upstream(self) -> Execution:
        """The evaluator of a task in the original format: one flag, the test split, a printed block."""
        code, result = EVALUATE(self.job.workdir / "answer.txt", "all", "test", 0)
        text = f"--- EVALUATION RESULT ---\n{json.dumps({'Accuracy': result['value']})}\n"
        return Execution(Status.FAIL if code else Status.OK, code, None, 0.01, 0.0, 0, text, "", 0)

    def _solution(self) -> Execution:
        """Runs a candidate's own script, in this process: what it prints, what it writes."""
        printed = io.StringIO()
        here = {"open": lambda name, mode="r": (self.job.workdir / name).open(mode)}
        with contextlib.redirect_stdout(printed):
            exec((self.job.workdir / "solution.py").read_text(), here)
        return Execution(Status.OK, 0, None, 0.01, 0.0, 0, printed.getvalue(), "", 0)


@dataclasses.dataclass
class LabSandbox:
    """`before(job, flags)` sees every execution and may return seconds to sleep; `test_value` replaces test scores."""

    before: object = staticmethod(lambda job, flags: None)
    test_value: object = None
    jobs: list = dataclasses.field(default_factory=list)
    backend: str = "lab"

    def start(self, job: Job) -> LabRunning:
        for path, text in job.files.items():
            (job.workdir / path).write_text(text)
        self.jobs.append(job)
        return LabRunning(job, self)


def config(root: Path, **options):
    """A config of the toy task; options are dotted keys with "__" for the dot."""
    made = to_config(Settings())
    common = {
        "task": str(TASKS / TASK),
        "log__fsync": "off",
        "display__terminal": "off",
        "paths__data_root": str(root / "data"),
        "paths__cache_dir": str(root / "cache"),
        "budget__min_exec_s": 0.0,
        "test__when": "never",
        "llm__backend": "control.evolution",
    }
    for key, value in {**common, **options}.items():
        *groups, name = key.split("__")
        group = made
        for part in groups:
            group = group[part]
        group[name] = value
    return made


def search(root: Path, workdir: str = "runs", **options):
    """Runs a search; returns what `run.search` does."""
    return run.search(config(root, **options), root / workdir)


def records(folder: Path):
    return events.read(folder)


def tree(folder: Path) -> Tree:
    return Tree.fold(events.read(folder), events.Blobs(folder / "blobs"))


def random_sleeps(seconds: float, seed: int):
    """Pauses that differ from run to run."""
    rng = random.Random(seed)
    return lambda job, flags: rng.random() * seconds


def answer(x: float, note: str = "") -> str:
    """An answer in the grammar that proposes a number."""
    return f"Try {x}.\n\n``` path=answer.txt\nx={x:.6f}\n{note}```\n"


def replay_file(path: Path, lines: list[dict]) -> str:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)
