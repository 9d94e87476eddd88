"""A search from its config to its report: open or resume the run, loop, confirm, submit, score on test."""

import contextlib
import dataclasses
import math
import os
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aira_jax import llm as llms
from aira_jax.core import choices
from aira_jax.core.cli import Exit
from aira_jax.core.operators import Operator
from aira_jax.llm import control
from aira_jax.llm.base import Role, Sampling
from aira_jax.proxies.fidelity import Signal
from aira_jax.sandbox.base import Sandbox
from aira_jax.search.engine import session as sessions
from aira_jax.search.engine.calls import asks_again
from aira_jax.search.engine.confirm import confirm, submit
from aira_jax.search.engine.context import Proposer, RunContext
from aira_jax.search.engine.loop import Loop, Stopped
from aira_jax.search.engine.scoring import TestScorer, score_wanted, test_evaluator
from aira_jax.search.engine.session import ROOT, Session, data_root, data_seed, describe_machine, plain, run_dir
from aira_jax.search.engine.workers import Interrupts, WorkerPool
from aira_jax.search.log import events
from aira_jax.search.log.events import Kind, Record, WriteFailed
from aira_jax.search.log.journal import Journal, Observer
from aira_jax.search.operators.requests import CallOptions, Fitness, PromptContext
from aira_jax.search.settings import PROPOSERS, Settings, TestWhen
from aira_jax.tasks import loader, mounts, packages
from aira_jax.tasks.compose import proxies
from aira_jax.tasks.compose.space import PatternSpace
from aira_jax.tasks.overview import data_overview
from aira_jax.tasks.task import Task

RESUMABLE = {"interrupt": Exit.INTERRUPTED, "auth": Exit.LLM_STOP, "error": Exit.LLM_STOP}


@dataclasses.dataclass(frozen=True)
class Finished:
    """How a session of a search ended."""

    folder: Path
    stopped: Stopped
    exit: Exit


def search(
    config: Mapping[str, Any],
    workdir: str | os.PathLike,
    *,
    task: Task | None = None,
    sandbox: Sandbox | None = None,
    truncate_at_seq: int | None = None,
    observe: Callable[[Path], Sequence[Observer]] = lambda folder: (),
) -> Finished:
    """Starts or resumes the run of a config. `truncate_at_seq` continues a branch copy of a damaged run instead.

    `task` and `sandbox` replace what the config names. `observe(run_dir)` gives the observers.
    Raises ValueError for bad input, events.DamagedLog for a damaged log.
    """
    settings = Settings.of(config)
    task = task or loader.load(settings.task)
    settings = dataclasses.replace(settings, task=loader.spelled(task))
    check(settings, task)
    folder = run_dir(workdir, settings, task)
    _check_place(Path(workdir), settings, task)
    if truncate_at_seq is not None:
        folder = events.branch(folder, truncate_at_seq)
    begun = events.read(folder) if (folder / "events.jsonl").exists() else ()
    drawn = data_seed(settings, task, begun)
    prepared = mounts.prepare(
        task,
        settings.profile,
        data_root(settings),
        hidden_seed=drawn,
        self_reported=settings.fitness is Fitness.SELF_REPORTED,
    )
    with contextlib.ExitStack() as stack:
        observers = observe(folder)
        for observer in observers:
            stack.callback(observer.close)
        session = Session(folder, settings, task, purpose="search", observers=observers, sandbox=sandbox, drawn=drawn)
        stack.callback(session.close)
        session.begin(plain(settings))
        with Interrupts() as interrupts:
            stopped, exit = _run(session, prepared, session.pool(interrupts))
        session.end(stopped.reason)
    if exit is Exit.DONE:
        sessions.discard_secret_rows(settings, task, drawn)
    return Finished(folder, stopped, exit)


def check(settings: Settings, task) -> None:
    """Raises ValueError for settings that cannot work, before anything is written."""
    if settings.profile not in task.profiles:
        problem = f"config.profile={settings.profile!r} is no profile of {task.name}"
        raise ValueError(choices.refusal(problem, settings.profile, task.profiles))
    if task.cli < 2 and settings.fitness is Fitness.EVALUATOR:
        raise ValueError(f"task {task.name} has no validation scoring; use --config.fitness=self_reported")
    _check_signal(settings, task)
    for operator in PROPOSERS:
        options = settings.options(operator)
        proposer = Proposer(llms.make(options, workers=settings.workers.n), options)
        if llms.is_control(options.backend) and operator is not Operator.ANALYZE and task.space is None:
            with_space = [name for name in loader.names() if loader.load(name).space is not None]
            raise ValueError(f"{options.backend} needs a task with a space.py: {', '.join(with_space)}")
        if llms.is_control(options.backend) and operator is not Operator.ANALYZE:
            control.check(options, task)
            if options.backend == "control.bo" and options.initial >= (settings.budget.steps or math.inf):
                raise ValueError(
                    f"config.llm.initial={options.initial} random designs leave nothing of budget.steps="
                    f"{settings.budget.steps} to control.bo: give fewer, for example --config.llm.initial=4"
                )
        if settings.budget.usd is not None and options.model and proposer.price() is None:
            raise ValueError(
                f"config.budget.usd is set but {options.model} has no price; add config.llm.prices[{options.model!r}]"
            )
    _check_variant(settings, task)


def _check_signal(settings: Settings, task) -> None:
    """Raises ValueError where nothing would report what shall steer the search."""
    if settings.eval.signal is Signal.METRIC:
        return
    asked = f"config.eval.signal={settings.eval.signal}"
    if settings.fitness is Fitness.SELF_REPORTED:
        raise ValueError(f"{asked} is measured by the evaluator: use config.fitness=evaluator, or eval.signal=metric")
    space = getattr(task.space, "SPACE", None)
    if not isinstance(space, PatternSpace) or isinstance(proxies.of(task.folder), proxies.Mix):
        raise ValueError(f"{asked}: {task.name} reports its metric alone, use config.eval.signal=metric")


def _check_place(workdir: Path, settings: Settings, task) -> None:
    """Raises ValueError where hiding the runs from candidate code would hide this program from it too."""
    runs_code = task.executes_candidate or settings.fitness is Fitness.SELF_REPORTED
    within = [place for place in (ROOT, Path(sys.prefix)) if place.resolve().is_relative_to(workdir.resolve())]
    if runs_code and within:
        raise ValueError(
            f"--workdir={workdir} holds {within[0]}, which candidates of {task.name} need, while runs are hidden from "
            f"them; choose a folder of its own, such as {workdir / 'runs'}"
        )


def _check_variant(settings: Settings, task) -> None:
    """Raises ValueError where a prompt would promise another task than the evaluator scores."""
    proposing = [settings.options(operator) for operator in PROPOSERS if operator is not Operator.ANALYZE]
    shorter = [o for o in proposing if llms.is_control(o.backend) and control.shortest(o, task.space) is not None]
    if shorter and any(o != shorter[0] for o in proposing):
        raise ValueError(
            f"{shorter[0].backend} asks for patterns of other lengths than {task.name} describes: use it, with the "
            "same config.llm.layers, for every operator (no config.llm.<operator>.backend)"
        )
    if settings.eval.width_scaling and getattr(task.space, "SPACE", None) is None:
        raise ValueError(f"config.eval.width_scaling is for searches over patterns, {task.name} is none")


def _run(session: Session, prepared, pool: WorkerPool) -> tuple[Stopped, Exit]:
    try:
        stopped = _search(session, prepared, pool)
    except WriteFailed:
        raise
    except Exception as error:  # noqa: BLE001 - a defect of ours must leave a resumable directory
        pool.cancel()
        detail = f"{type(error).__name__}: {error}"
        session.journal.append(Kind.STOP, reason="error", detail=detail, traceback=traceback.format_exc())
        print(traceback.format_exc(), file=sys.stderr)
        return Stopped("error", detail), Exit.DEFECT
    return stopped, RESUMABLE.get(stopped.reason, Exit.DONE)


def _search(session: Session, prepared, pool: WorkerPool) -> Stopped:
    """The search session proper; test scores follow on an account of their own."""
    settings, journal = session.settings, session.journal
    if advice := packages.advice(session.task.name, session.task.requirements):
        journal.append(Kind.WARNING, code="packages", text=advice)
    context = run_context(session, prepared)
    stopped = Loop(context, pool, settings.policy, settings.workers).run()
    if stopped.reason not in RESUMABLE:
        seeds, space = settings.eval.seeds, session.task.space
        confirm(context.evaluator, pool, settings.confirm, space, seeds, lambda: context.clock.out_of() is not None)
        if pool.interrupts.requested:
            stopped = Stopped("interrupt", "interrupted while confirming; run the same command again to continue")
        else:
            submit(pool, settings.confirm, space)
    _record_stop(journal, stopped)
    for text in _leftovers(context) if stopped.reason not in RESUMABLE else ():
        journal.append(Kind.WARNING, code="replay_unused", text=text)
    if stopped.reason not in RESUMABLE and settings.test.when is not TestWhen.NEVER:
        _score_tests(session, stopped, pool.interrupts)
        if pool.interrupts.requested:
            return Stopped("interrupt", "interrupted while scoring on test; run the same command again to continue")
    return stopped


def _record_stop(journal: Journal, stopped: Stopped) -> None:
    """Records the stop, unless nothing has happened since the same one."""
    last, nodes = journal.tree.stop, len(journal.tree.nodes)
    if last is None or journal.tree.stopped_at != nodes or last["reason"] != stopped.reason:
        journal.append(Kind.STOP, **dataclasses.asdict(stopped))


def _score_tests(session: Session, stopped: Stopped, interrupts: Interrupts) -> None:
    """Scores on test in a session of its own, so that it does not count on the run's wall clock."""
    test = session.settings.test
    session.end(stopped.reason)
    session.turn_to_tests()
    session.begin(plain(session.settings))
    score_wanted(session, session.pool(interrupts), test.when, test.repeat_winner)


def run_context(session: Session, prepared) -> RunContext:
    """Everything that the steps of this run share."""
    settings, journal = session.settings, session.journal
    scorer = None
    if settings.test.when is TestWhen.INLINE:
        scorer = TestScorer(test_evaluator(session), journal, session.log.records)
    return RunContext(
        seed=settings.seed,
        prompts=_prompt_context(session, prepared),
        proposers=_proposers(settings, session.log.records),
        evaluator=session.evaluator(prepared, clock=session.clock),
        journal=journal,
        control=session.control,
        clock=session.clock,
        gate=threading.Semaphore(settings.workers.llm or settings.workers.n),
        dedupe=settings.dedupe,
        analyze_llm=settings.analyze.llm,
        evaluator_seeds=tuple(range(settings.eval.seeds)),
        score_inline=scorer.score if scorer else None,
    )


def _prompt_context(session: Session, prepared) -> PromptContext:
    settings, task = session.settings, session.task
    version = int(session.journal.tree.run["prompt_version"])
    return PromptContext(
        task=task,
        seed=settings.seed,
        profile=settings.profile,
        fitness=settings.fitness,
        compute=describe_machine(settings.workers.devices),
        data_overview=data_overview(prepared.agent, rows=task.executes_candidate or version < 2),
        prompt=settings.prompt,
        memory=settings.memory,
        calls={operator: _call_options(settings.options(operator)) for operator in PROPOSERS},
        version=version,
        signal=settings.eval.signal,
    )


def _call_options(options: llms.Options) -> CallOptions:
    return CallOptions(options.max_tokens, Sampling(options.temperature, options.top_p), options.extra)


def _proposers(settings: Settings, records: Sequence[Record]) -> dict[Operator, Proposer]:
    """A proposer for every operator; operators with equal options share one, and with it its place in a replay file."""
    cursor = answered(records)
    made: list[Proposer] = []
    chosen: dict[Operator, Proposer] = {}
    for operator in PROPOSERS:
        options = settings.options(operator)
        known = next((proposer for proposer in made if proposer.options == options), None)
        if known is None:
            known = Proposer(llms.make(options, workers=settings.workers.n, replay_cursor=cursor), options)
            made.append(known)
        chosen[operator] = known
    return chosen


def answered(records: Sequence[Record]) -> list[tuple[int, str, int]]:
    """(node, operator, attempt) of every call on record that will not be made again."""
    operators = {record["node"]: record["operator"] for record in records if record["kind"] == Kind.ACTION}
    return [
        (r["node"], "analyze" if r["role"] == Role.ANALYZE else operators[r["node"]], r["attempt"])
        for r in records
        if r["kind"] == Kind.LLM_RESULT and not asks_again(r)
    ]


def _leftovers(context: RunContext) -> list[str]:
    """What replay files hold that was never asked for."""
    files = {id(p.llm): p.llm for p in context.proposers.values() if p.options.backend == "replay"}
    return [text for replay in files.values() if (text := replay.leftover())]
