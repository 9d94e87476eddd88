"""Scores a pattern on a proxy: trains it from scratch, measures it on held-out rows, never does so twice.

    result = evaluate("8(A-M)", preset="cpu-s")
    result.score                                # mean micro accuracy over the tasks
    result.tasks["memorization"].macro

These rows are drawn from a seed; those of the text proxies come from a corpus (`text.evaluate`).

jax is imported only when something is really trained: a cache hit costs milliseconds.
"""

import contextlib
import dataclasses
import functools
import hashlib
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aira_jax import patterns
from aira_jax.proxies import cache, fidelity, mad, sources
from aira_jax.proxies.corpora.windows import TextDataset, bytes_per_target
from aira_jax.proxies.fidelity import Preset, Select
from aira_jax.proxies.result import ProxyResult, Split, TaskScore, TaskStatus
from aira_jax.proxies.text_fidelity import TextPreset

__all__ = ["ProxyResult", "Split", "TaskScore", "TaskStatus", "evaluate", "evaluate_seeds"]

REUSE_VARIABLE = "AIRA_JAX_REUSE_SCORES"
_QUESTION = 40  # hexadecimal digits of a key that say what was asked; the others, which sources answered
_LOG = logging.getLogger(__name__)


def evaluate(pattern: patterns.Pattern | str, *, eval_seed: int = 0, **options) -> ProxyResult:
    """Trains and scores `pattern` with one evaluator seed; `options` as in `evaluate_seeds`."""
    return evaluate_seeds(pattern, eval_seeds=[eval_seed], **options)[0]


def evaluate_seeds(
    pattern: patterns.Pattern | str,
    *,
    eval_seeds: Sequence[int],
    preset: Preset | TextPreset | str,
    datasets: Mapping[str, mad.Dataset | TextDataset] | None = None,
    tasks: Sequence[str] | None = None,
    data_seed: int = mad.DEFAULT_SEED,
    split: Split | str = Split.TEST,
    cache_dir: Path | str | None = None,
    engine: str = "auto",
    reuse_scores: bool | None = None,
) -> list[ProxyResult]:
    """Trains and scores `pattern` with several evaluator seeds (init and shuffling) at once, one result per seed.

    `preset` as a name is one of MAD. `datasets` maps each task to its rows; None draws those of MAD from `data_seed`.
    `tasks` None: those of the preset.
    `cache_dir` None: $AIRA_JAX_CACHE, else ~/.cache/aira_jax. `engine`: see `engine_table.choose`; it never changes a
    score beyond rounding. Results that exist are not trained again; while another process trains one, this one waits.
    A result of other sources than today's counts only with `reuse_scores` (None: $AIRA_JAX_REUSE_SCORES) and is marked.

    Raises ValueError for a bad pattern, preset, task, data set or engine.
    """
    pattern = patterns.parse(pattern) if isinstance(pattern, str) else pattern
    preset = fidelity.get(preset) if isinstance(preset, str) else preset
    tasks = preset.chosen(tasks)
    if datasets is None and isinstance(preset, TextPreset):
        raise ValueError(f"the proxy {preset.proxy} needs a corpus: open one, or use text.evaluate")
    split = Split(split)
    if len(set(eval_seeds)) != len(eval_seeds) or not eval_seeds or min(eval_seeds) < 0 or data_seed < 0:
        raise ValueError(f"seeds must be non-negative, evaluator seeds distinct; got {data_seed}, {list(eval_seeds)}")
    for task in tasks if datasets is not None else ():
        _check_data(task, datasets, split)
    directory = Path(cache_dir) if cache_dir is not None else cache.default_directory()
    job = _Job(pattern, preset, datasets, tasks, data_seed, split, directory, engine)
    keys = {seed: job.key(seed) for seed in eval_seeds}
    reuse = os.environ.get(REUSE_VARIABLE, "0") not in ("", "0") if reuse_scores is None else reuse_scores
    with contextlib.ExitStack() as stack:
        results = cache.ResultCache(directory / "results")
        reused = {seed: found for seed, key in keys.items() if reuse and (found := _of_other_sources(results, key))}
        ordered = sorted(keys.keys() - reused.keys(), key=keys.get)  # the same order in all workers: no deadlock
        claims = {seed: stack.enter_context(results.claim(keys[seed])) for seed in ordered}
        missing = [seed for seed, claim in claims.items() if claim.result is None]
        fresh = {result.eval_seed: result for result in job.train(missing)} if missing else {}
        for seed, result in fresh.items():
            claims[seed].store(result.to_json())
        stored = reused | {seed: claim.result for seed, claim in claims.items()}
        return [fresh[seed] if seed in fresh else _hit(stored[seed], preset) for seed in eval_seeds]


def _hit(stored: Mapping[str, Any], preset: Preset) -> ProxyResult:
    result = ProxyResult.from_json(stored)
    other = result.sources != sources.digest()
    if other:
        _LOG.warning("%s is scored by other sources than today's (%s)", result.pattern, result.sources)
    known = {"profile": preset.name, "by_other_sources": other}  # not in the key
    return dataclasses.replace(result, **known, cached=True, steps=0, train_s=0.0, compile_s=0.0)


def _of_other_sources(results: cache.ResultCache, key: str) -> dict[str, Any] | None:
    """The newest result of the same question, unless today's sources have answered it."""
    return None if results.path(key).exists() else results.newest(key[:_QUESTION])


@dataclasses.dataclass(frozen=True)
class _Job:
    pattern: patterns.Pattern
    preset: Preset | TextPreset
    datasets: Mapping[str, mad.Dataset | TextDataset] | None
    tasks: tuple[str, ...]
    data_seed: int
    split: Split
    directory: Path
    engine: str

    def key(self, eval_seed: int) -> str:
        content = {
            "proxy": self.preset.proxy,
            "fidelity": self.preset.resolved(self.tasks),
            "pattern": self.pattern.canonical(),
            "data_seed": self.data_seed,
            "data": self._data_digest,
            "eval_seed": eval_seed,
            "split": self.split,
            "dtype": self.preset.dtype,
        }
        return cache.content_key(content)[:_QUESTION] + sources.digest()[_QUESTION:]

    @functools.cached_property
    def _data_digest(self) -> str:
        if self.datasets is None:
            return "drawn from data_seed"
        digest = hashlib.sha256()
        for task in self.tasks:
            data = self.datasets[task]
            if isinstance(data, TextDataset):  # the manifest holds digests of the windows and of all behind them
                digest.update(cache.content_key(data.corpus).encode())
                continue
            for rows in (data.train, data.test) if self.split is Split.TEST else (data.train,):
                digest.update(repr((task, data.vocab, rows.x.shape)).encode())
                for array in (rows.x, rows.y, rows.probe):
                    digest.update(np.ascontiguousarray(array, "<i8").tobytes())
        return digest.hexdigest()

    def train(self, eval_seeds: Sequence[int]) -> list[ProxyResult]:
        from aira_jax.proxies import lanes  # here, so that a cache hit imports no jax

        planned = []
        for task in self.tasks:
            train, test, vocab = self._rows(task)
            planned += [lanes.Lane(task, train, test, vocab, seed) for seed in eval_seeds]
        programs = self.directory / "programs"
        scored = lanes.train(planned, self.preset, self.pattern.layers, engine=self.engine, programs=programs)
        facts = lanes.machine(), lanes.kernels(self.pattern.layers)
        return [self._result(seed, [s for s in scored if s.lane.seed == seed], *facts) for seed in eval_seeds]

    def _rows(self, task: str) -> tuple[mad.Rows, mad.Rows, int]:
        p = self.preset
        if self.datasets is not None:
            data = self.datasets[task]
        else:
            public = self.data_seed == mad.DEFAULT_SEED  # the rows of another seed may be hidden from candidates
            kept = self.directory if public else None
            data = mad.make(task, p.train, p.test, self.data_seed, cache_dir=kept, **p.fields(task))
        train, test = mad.split_validation(data.train) if self.split is Split.VALIDATION else (data.train, data.test)
        return train, test, data.vocab

    def _result(
        self, eval_seed: int, scored: Sequence[Any], machine: Mapping[str, str], kernels: Mapping[str, str]
    ) -> ProxyResult:
        scored = sorted(scored, key=lambda s: self.tasks.index(s.lane.task))
        text = (self.datasets or {}).get(self.preset.proxy)
        by_task = {s.lane.task: s for s in scored}
        steps = sum(s.steps for s in scored)
        return ProxyResult(
            pattern=self.pattern.canonical(),
            profile=self.preset.name,
            seed=self.data_seed,
            eval_seed=eval_seed,
            split=self.split,
            tasks={task: s.score for task, s in by_task.items()},
            train_s=round(sum(s.train_s for s in scored), 3),
            compile_s=round(sum(s.compile_s for s in scored), 3),
            steps=steps,
            trained_steps=steps,
            cached=False,
            curve={task: s.curve for task, s in by_task.items()},
            epoch={task: s.epoch for task, s in by_task.items()},
            key=self.key(eval_seed),
            dtype=str(self.preset.dtype),
            engine=",".join(dict.fromkeys(s.engine for s in scored)),
            device=machine["device"],
            selected_on_test=self.preset.select is Select.BEST_TEST,
            stopped_early=tuple(task for task, s in by_task.items() if s.stopped),
            versions={name: version for name, version in machine.items() if name != "device"},
            parameters={task: s.parameters for task, s in by_task.items()},
            kernels=kernels,
            sources=sources.digest(),
            proxy=self.preset.proxy,
            corpus=text and text.corpus,
            bytes_per_target=text and bytes_per_target(scored[0].lane.test.y, text.lengths),
        )


def _check_data(task: str, datasets: Mapping[str, mad.Dataset | TextDataset], split: Split) -> None:
    if task not in datasets:
        raise ValueError(
            f"datasets holds no {task}, only {', '.join(datasets) or 'nothing'}: add it or name other tasks"
        )
    data = datasets[task]
    for name in ("train", "test") if split is Split.TEST else ("train",):
        rows = getattr(data, name)
        where = f"datasets[{task!r}].{name}"
        if rows.x.ndim != 2 or not rows.x.size or not rows.x.shape == rows.y.shape == rows.probe.shape:
            shapes = f"{rows.x.shape}, {rows.y.shape}, {rows.probe.shape}"
            raise ValueError(f"{where}: x, y and probe must have one shape [rows, tokens], got {shapes}")
        targets = rows.y[rows.y != mad.IGNORED]
        for kind, tokens in (("tokens", rows.x), ("targets", targets)):
            if not tokens.size or tokens.min() < 0 or tokens.max() >= data.vocab:
                raise ValueError(
                    f"{where}: {kind} must lie in 0..{data.vocab - 1} (the vocabulary), and there must be some"
                )
