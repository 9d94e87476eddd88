"""Test scores: the submitted node and others, trained on the full train set, on an account of their own."""

import math
from collections.abc import Callable, Hashable, Iterable, Mapping
from pathlib import Path

from aira_jax.sandbox.base import Sandbox
from aira_jax.search.engine.evaluation import Evaluator, Recorded
from aira_jax.search.engine.session import Session, data_root, data_seed, discard_secret_rows, last_config
from aira_jax.search.engine.workers import Interrupts, WorkerPool
from aira_jax.search.log import events
from aira_jax.search.log.events import Kind, Record
from aira_jax.search.log.journal import Journal, Observer
from aira_jax.search.log.tree import Node, Tree
from aira_jax.search.operators.requests import Fitness
from aira_jax.search.settings import Settings, TestWhen
from aira_jax.tasks import loader, mounts
from aira_jax.tasks.task import Task


class TestScorer:
    """Scores nodes on the test split, each (node, seed) once. `records` tell what was scored before."""

    __test__ = False

    def __init__(self, evaluator: Evaluator, journal: Journal, records: Iterable[Record]):
        self._evaluator, self._journal = evaluator, journal
        self._done = {(r["node"], r.get("seed", 0)) for r in records if r["kind"] == Kind.TEST_RESULT}

    def is_done(self, node: int, seed: int) -> bool:
        return (node, seed) in self._done

    def score(self, node: Node, seed: int = 0) -> None:
        """Scores a node and records the result, whatever it is."""
        if self.is_done(node.id, seed):
            return
        files = {**node.files, **node.exported}
        end = self._evaluator.score(node.id, files, split="test", seed=seed, recorded=Recorded())
        value = (end["result"] or {}).get("value") if end["status"] == "ok" and not end["failure_class"] else None
        valid = isinstance(value, int | float) and math.isfinite(value)
        self._journal.append(
            Kind.TEST_RESULT,
            node=node.id,
            seed=seed,
            value=float(value) if valid else None,
            status="ok" if valid else "fail",
            failure_class=end["failure_class"],
            wall_s=end["wall_s"],
            device_s=end["device_s"],
        )
        self._done.add((node.id, seed))


def wanted(tree: Tree, when: TestWhen, repeats: int) -> list[tuple[Node, int]]:
    """(node, evaluator seed) to score: the submitted node first, with `repeats` further seeds. Nothing without one."""
    if tree.submitted is None or when is TestWhen.NEVER:
        return []
    submitted = tree.nodes[tree.submitted]
    others = {TestWhen.SUBMITTED: (), TestWhen.AFTER_ALL: tree.good}.get(when, tree.running_bests)
    nodes = list(dict.fromkeys([submitted.id, *(node.id for node in others)]))
    seeds = [(submitted, seed) for seed in range(1, 1 + repeats)]
    return [(tree.nodes[id], 0) for id in nodes] + seeds


def score_wanted(session: Session, pool: WorkerPool, when: TestWhen, repeats: int) -> None:
    """Scores what is wanted and missing, as many at once as there are slots. An interrupt leaves the rest undone."""
    pairs = _distinct(wanted(session.journal.tree, when, repeats))
    if not pairs:
        return
    scorer = TestScorer(test_evaluator(session), session.journal, session.log.records)
    jobs: dict[Hashable, Callable[[], None]] = {
        ("test", node.id, seed): lambda node=node, seed=seed: scorer.score(node, seed)
        for node, seed in pairs
        if not scorer.is_done(node.id, seed)
    }
    pool.run(jobs)


def test_evaluator(session: Session) -> Evaluator:
    """An evaluator that may see the test labels, which are prepared now and not before."""
    settings = session.settings
    prepared = mounts.prepare_test(
        session.task,
        settings.profile,
        data_root(settings),
        hidden_seed=data_seed(settings, session.task, session.log.records),
        self_reported=settings.fitness is Fitness.SELF_REPORTED,
    )
    return session.evaluator(prepared, clock=None)


test_evaluator.__test__ = False


def _distinct(pairs: list[tuple[Node, int]]) -> list[tuple[Node, int]]:
    return list({(node.id, seed): (node, seed) for node, seed in pairs}.values())


def score_run(
    folder: str | Path,
    *,
    when: str = "",
    repeats: int | None = None,
    task: str = "",
    sandbox: Sandbox | None = None,
    observers: Iterable[Observer] = (),
) -> bool:
    """Scores a finished run on the test split. `when` and `repeats` default to the run's config.test (never: after),
    `task` (a name or a folder) to where the task lay when the run was last continued.

    Returns whether all is done; an interrupt leaves the rest to the next call. Raises ValueError for a run without a
    log, with an unknown `when`, or one that was not stopped yet.
    """
    folder = Path(folder)
    config = last_config(events.read(folder))
    if not config:
        raise ValueError(f"{folder} holds no run_start record; run scripts/search.py first")
    task = _task(folder, task or config["task"])
    config["task"] = loader.spelled(task)
    settings = Settings.of(_with_when(config, when))
    if settings.test.when is TestWhen.NEVER:
        settings = Settings.of(_with_when(config, TestWhen.AFTER))
    session = Session(folder, settings, task, purpose="tests", observers=tuple(observers), sandbox=sandbox)
    try:
        if session.journal.tree.stop is None:
            raise ValueError(f"{folder}: the search has not ended; finish it with scripts/search.py first")
        session.begin(config)
        with Interrupts() as interrupts:
            chosen = settings.test.repeat_winner if repeats is None else repeats
            score_wanted(session, session.pool(interrupts), settings.test.when, chosen)
            session.end("interrupt" if interrupts.requested else "done")
        if not interrupts.requested:
            discard_secret_rows(settings, task, data_seed(settings, task, session.log.records))
        return not interrupts.requested
    finally:
        session.close()


def _task(folder: Path, named: str) -> Task:
    if loader.is_path(named) and not loader.folder_of(named).is_dir():
        raise ValueError(f"{folder}: the folder of its task, {named}, is not there; name the place where it is: --task")
    return loader.load(named)


def _with_when(config: Mapping, when: str) -> dict:
    return {**config, "test": {**config["test"], "when": when}} if when else dict(config)
