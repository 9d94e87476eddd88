"""Searches over patterns that cost milliseconds: the real tasks, loop and log, with a formula in place of training."""

import dataclasses
import hashlib
import json

import numpy as np

from aira_jax.sandbox.base import Execution, Isolation, Status
from aira_jax.search import run
from aira_jax.search.log import events
from aira_jax.search.log.tree import Tree
from aira_jax.search.settings import Settings, to_config
from aira_jax.tasks.compose.space import MIN_LAYERS, WIDTH_SCALING, PatternSpace
from aira_jax.tasks.evaluation import SubmissionError
from aira_jax.tasks.mounts import Prepared

MAD2 = "NeuralArchitectureSearchMAD2PrimitivesAccuracy"
MAD3 = "NeuralArchitectureSearchMAD3PrimitivesMbAccuracy"


def boundaries(pattern, seed=0, noise=0.5):
    """Count of places where the primitive changes, plus noise that depends on the pattern and `seed` alone."""
    digest = hashlib.sha256(f"{seed} {pattern.compact()}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    return len(pattern.runs()) - 1 + noise * float(rng.standard_normal())


class Running:
    isolation = Isolation(True, True, True, "cgroup2")
    pid, pid_starttime = 2**30, 0

    def __init__(self, job, lab):
        self.job, self.lab = job, lab

    def go(self):
        pass

    def kill(self):
        pass

    def wait(self):
        flags = dict(zip(self.job.argv[2::2], self.job.argv[3::2], strict=True))
        space = PatternSpace(("A", "M", "Mb"), "16A", min_layers=int(self.job.env.get(MIN_LAYERS, 16)))
        try:
            pattern = space.pattern(self.job.files)
        except SubmissionError as error:
            return self._ended(2, {"failure_class": "interface", "message": str(error), "value": None})
        if flags["--stage"] == "check":
            return self._ended(0, {"value": None, "failure_class": None, "message": ""})
        self.lab.trained.append((pattern, self.job.env.get(WIDTH_SCALING)))
        self.lab.before(pattern)
        failed = pattern in self.lab.broken
        value = None if failed else self.lab.score(pattern)
        message = {"failure_class": "nan" if failed else None, "message": "diverged" if failed else ""}
        return self._ended(3 if failed else 0, {"value": value, **message})

    def _ended(self, code, result):
        (self.job.workdir / "result.json").write_text(json.dumps(result))
        return Execution(Status.FAIL if code else Status.OK, code, None, 0.01, 0.0, 0, "done\n", "", 0)


@dataclasses.dataclass
class Lab:
    """`trained` are the patterns that were trained, with the width flag; those in `broken` diverge."""

    score: object = staticmethod(boundaries)
    before: object = staticmethod(lambda pattern: None)
    broken: set = dataclasses.field(default_factory=set)
    trained: list = dataclasses.field(default_factory=list)
    backend: str = "lab"

    def start(self, job):
        return Running(job, self)


def prepared(root):
    for name in ("agent/train", "labels"):
        (root / name).mkdir(parents=True, exist_ok=True)
    return lambda *args, **kwargs: Prepared(root / "agent", root / "labels", None, root / "labels")


def search(root, backend, steps=None, *, workdir="runs", **options):
    """Runs a search over patterns; returns what `run.search` does. Options are dotted keys with "__" for the dot."""
    made = to_config(Settings())
    common = {
        "task": MAD2,
        "log__fsync": "off",
        "display__terminal": "off",
        "paths__data_root": str(root / "data"),
        "paths__cache_dir": str(root / "cache"),
        "budget__min_exec_s": 0.0,
        "budget__steps": steps,
        "test__when": "never",
        "llm__backend": backend,
    }
    for key, value in {**common, **options}.items():
        *groups, name = key.split("__")
        group = made
        for part in groups:
            group = group[part]
        group[name] = value
    return run.search(made, root / workdir)


def tree(folder):
    return Tree.fold(events.read(folder), events.Blobs(folder / "blobs"))
