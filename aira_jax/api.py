"""The public functions, one signature each. `import aira_jax` hands them out; the rooms do the work."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aira_jax import patterns
from aira_jax.patterns import Pattern

if TYPE_CHECKING:
    from aira_jax.proxies.result import ProxyResult
    from aira_jax.sandbox.base import Sandbox
    from aira_jax.search.log.node import Node
    from aira_jax.tasks.task import Task


def parse(text: str) -> Pattern:
    """The pattern that `text` spells: `8(A-M)`, `2A-3M-Mb`.

    Args:
      text: primitives A (attention), M (MLP), Mb (Mamba-2), joined by `-`, repeated by a number before a group.

    Returns: a Pattern; equal layers are equal patterns. Raises: PatternError with position and mend.
    """
    return patterns.parse(text)


def evaluate(
    pattern: Pattern | str,
    *,
    preset: str = "smoke",
    proxy: str = "mad",
    tasks: Sequence[str] | None = None,
    corpus: str | os.PathLike | None = None,
    split: str = "test",
    eval_seed: int = 0,
    data_seed: int | None = None,
    cache_dir: str | os.PathLike | None = None,
) -> "ProxyResult":
    """Trains `pattern` from scratch on a small data set and scores it on rows that it did not see.

    Args:
      pattern: a Pattern or its text.
      preset: the fidelity: smoke (seconds), demo, cpu-s, cpu-m, paper (hours; see proxies/FIDELITIES.md).
      proxy: mad (synthetic tasks, ranked by accuracy), babistories or dclm (text, ranked by loss).
      tasks: some of MAD's; None: those of the preset.
      corpus: raw text for babistories and dclm; None: the built-in stories.
      split: test, or validation (trains on 70 % of the train rows and scores the others).
      eval_seed: of initialisation and order of rows.
      data_seed: of the rows; None: the published one.
      cache_dir: of results and compiled programs; None: $AIRA_JAX_CACHE, else ~/.cache/aira_jax.

    Returns: a ProxyResult; `score` is the mean accuracy in [0, 1], `loss` is in nats. What is in the cache is not
    trained again. Raises: ValueError for a bad pattern, preset, task or corpus.
    """
    from aira_jax.proxies import single

    options = {} if data_seed is None else {"data_seed": data_seed}
    return single.evaluate(
        pattern,
        proxy=proxy,
        preset=preset,
        tasks=tasks,
        reading={"corpus": corpus},
        split=split,
        eval_seed=eval_seed,
        cache_dir=cache_dir,
        **options,
    )


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """A run as it stands when its session ends. The same call continues an interrupted one.

    Args:
      folder: of the run: events.jsonl is the truth, everything beside it is derived.
      report: one HTML file about it.
      reason: why the session stopped: steps, usd, wall_s, interrupt, ...
      detail: the same as a sentence, such as "6 of 6 steps used".
      best: the node with the best validation fitness, None if no candidate was good.
      nodes: all of them, in the order of their ids.
    """

    folder: Path
    report: Path
    reason: str
    detail: str
    best: "Node | None"
    nodes: "tuple[Node, ...]"

    @property
    def fitness(self) -> float | None:
        """The best validation fitness; test scores are in the report alone."""
        return None if self.best is None else self.best.fitness

    @property
    def files(self) -> Mapping[str, str]:
        """The best candidate's files, name to text."""
        return {} if self.best is None else self.best.files

    @property
    def verdict(self) -> str:
        """What the run may claim: its choice against the first draft, beside how much scores vary with the seed."""
        from aira_jax.reports.run.verdict import verdict
        from aira_jax.runs.view import RunView

        return verdict(RunView.read(self.folder)).sentence

    @property
    def pattern(self) -> Pattern | None:
        """The best candidate as a pattern; None where the task is not about patterns."""
        try:
            return None if self.best is None or self.best.key is None else patterns.parse(self.best.key)
        except patterns.PatternError:
            return None


def search(
    config: "str | Mapping[str, Any]" = "smoke",
    workdir: str | os.PathLike = "runs",
    *,
    task: "str | os.PathLike | Task | None" = None,
    sandbox: "Sandbox | None" = None,
    observe: Callable[[str], None] | None = None,
) -> SearchResult:
    """Lets an agent search a task, or continues its run in `workdir`.

    Args:
      config: a variant of configs/search.py with options, such as "demo" or "mad2,agent=opus,budget.steps=20", or a
        config of one's own (`aira_jax.search.settings`).
      workdir: runs lie in <workdir>/<task>/<agent>/seed_<k>/.
      task: a name or a folder instead of the config's, or a loaded Task.
      sandbox: what runs candidates; None: the one that the config names.
      observe: is told a line for every node and warning as they come, such as `print`; None: nobody is.

    Returns: a SearchResult. Raises: ValueError for bad input, DamagedLog for a log that was altered.
    """
    from aira_jax.configs import search as presets
    from aira_jax.reports import terminal
    from aira_jax.reports.run import derived
    from aira_jax.search import run
    from aira_jax.search.log import events
    from aira_jax.search.log.tree import Tree

    chosen = presets.get_config(config) if isinstance(config, str) else config
    done = run.search(
        chosen,
        workdir,
        task=None if task is None else load_task(task),
        sandbox=sandbox,
        observe=lambda folder: [] if observe is None else [terminal.Lines(observe, folder / "events.jsonl")],
    )
    report = derived.rebuild(done.folder)
    tree = Tree.fold(events.read(done.folder), events.Blobs(done.folder / "blobs"))
    stopped = done.stopped
    return SearchResult(done.folder, report, stopped.reason, stopped.detail, tree.best, tuple(tree.nodes))


def load_task(task: "str | os.PathLike | Task") -> "Task":
    """A task of this package by its name, or any folder in the AIRS-Bench format by its path.

    Args:
      task: a name as in `python scripts/task_check.py --help`, a folder that holds a metadata.yaml, or a Task.

    Returns: a Task. Raises: ValueError that names file and key of what is wrong, or the nearest known name.
    """
    from aira_jax.tasks import loader
    from aira_jax.tasks.task import Task

    return task if isinstance(task, Task) else loader.load(task)


def aggregate(
    patterns: Sequence[Pattern | str],
    scores: Sequence[float],
    *,
    method: str = "n0",
    clusters: int | None = 3,
    weights: str | Sequence[float] | None = None,
    higher_is_better: bool = True,
) -> Pattern:
    """One base pattern from many scored ones: the best vote, layer by layer.

    Args:
      patterns: of equal length; repeated ones vote repeatedly.
      scores: as many, on one data set and fidelity.
      method: n0, n1, nall or n<c>: how many chosen layers a vote looks back at.
      clusters: only the best of so many k-means clusters of the scores votes; None: all vote.
      weights: None (equal), "rank_decay", or one positive number per pattern.
      higher_is_better: False for losses.

    Returns: a Pattern. Raises: ValueError for unequal lengths, non-finite scores, an unknown method.
    Source: AIRA-Compose, arXiv 2605.15871, section 3.
    """
    from aira_jax.compose import aggregate as voting

    return voting.aggregate(
        patterns, scores, method=method, clusters=clusters, weights=weights, higher_is_better=higher_is_better
    )


def extrapolate(pattern: Pattern | str, *, scale: str, method: str = "stretch", space: int | None = None) -> Pattern:
    """A small pattern brought to a model's size.

    Args:
      pattern: the base; stretching wants about 16 layers, stacking few.
      scale: the target: 350M, 1B or 3B non-embedding parameters.
      method: stretch (every run grows) or stack (copies of the whole).
      space: 2 or 3, the number of primitives of the search, which decides the widths; None: as the pattern has.

    Returns: a Pattern. Warns (ExtrapolationWarning) where the result is valid but odd. Raises: ValueError for a target
    out of reach. Source: Composer, arXiv 2510.00379.
    """
    from aira_jax.compose import extrapolate as scaling

    base = parse(pattern) if isinstance(pattern, str) else pattern
    return scaling.fit(base, scale, method, space=space or (3 if base.counts()["Mb"] else 2)).pattern
