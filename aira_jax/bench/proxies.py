"""Measures the proxy: layer programs against each other, cheap fidelities against dear ones, a known training curve."""

import dataclasses
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from aira_jax.core.files import write_atomically
from aira_jax.patterns import Pattern
from aira_jax.proxies import correlation, engine_table, evaluator, fidelity, mad
from aira_jax.proxies.compile_cache import Compiler
from aira_jax.proxies.engines import Engine
from aira_jax.proxies.fidelity import Preset, Signal
from aira_jax.proxies.proxy_model import Setup
from aira_jax.proxies.result import ProxyResult, Split
from aira_jax.proxies.train import Lane, Trainer
from kernels_pallas.bench import provenance
from kernels_pallas.common.timing import timed

PEER_BAND = (0.25, 0.35)  # macro accuracy of mad-lab's own loop over its last 8 of 12 epochs: .289 to .310
PEER_SECONDS = 497.0  # of mad-lab's loop, 12 epochs with validation, on one core of about 50 GFLOP/s


@dataclasses.dataclass(frozen=True)
class Arm:
    """One way to train one shape. `agrees`: its losses equal the first arm's within 1e-4."""

    preset: str
    task: str
    length: int
    setup: Setup
    compile_s: float
    step_s: float
    gflops: float
    agrees: bool

    def evaluation_s(self, steps: int) -> float:
        """Seconds to train a new arrangement for `steps`: SHARED programs were compiled for an earlier one."""
        return steps * self.step_s + (0.0 if self.setup.engine is Engine.SHARED else self.compile_s)


def matmul_gflops(n: int = 2048) -> float:
    """What the device reaches on one large float32 product, the yardstick for all else."""
    a = jnp.ones((n, n))
    product = jax.jit(lambda a: jnp.dot(a, a, precision="highest"))
    product(a).block_until_ready()
    return max(2 * n**3 / timed(lambda: product(a)).wall / 1e9 for _ in range(5))


def flops_per_step(model_params: int, layers: Sequence[str], d: int, length: int, rows: int) -> float:
    """6 per parameter and token, and 12 * length * d per token and attention layer (no causal halving)."""
    return rows * length * (6 * model_params + 12 * length * d * layers.count("A"))


def arms(
    pattern: Pattern, preset: Preset, task: str, engines: Sequence[Engine], micros: Sequence[int], repeats: int = 3
) -> Iterator[Arm]:
    """Times every engine with every number of rows per pass on full batches of `task`."""
    steps = 3
    rows = dataclasses.replace(preset, train=steps * preset.batch, test=preset.batch)
    data = mad.make(task, rows.train, rows.test, **rows.fields(task))
    lane = Lane(task, data.train, data.test, data.vocab, seed=0)
    expected = None
    for engine in engines:
        for micro in sorted(
            {min(micro, preset.batch) for micro in micros if preset.batch % min(micro, preset.batch) == 0}
        ):
            trainer = Trainer(rows, pattern.layers, [lane], Setup(engine, micro), Compiler())
            train, order = trainer.train_epoch, trainer.order(0)
            compile_s = trainer.compile_s
            losses, best = [], float("inf")
            state = trainer.initial_state()
            for _ in range(repeats):
                start = time.perf_counter()
                state, loss = train(state, trainer.train_rows, *order, trainer.tables)
                losses.append(np.asarray(loss))
                best = min(best, (time.perf_counter() - start) / steps)
            expected = losses if expected is None else expected
            length = lane.train.x.shape[1]
            flops = flops_per_step(_parameters(trainer), pattern.layers, preset.d, length, preset.batch)
            agrees = bool(np.allclose(losses, expected, rtol=1e-4))
            yield Arm(preset.name, task, length, Setup(engine, micro), compile_s, best, flops / best / 1e9, agrees)


def store_winners(measured: Sequence[Arm], table: Path = engine_table.TABLE) -> list[dict]:
    """Puts the fastest arm of every shape into the table that `engine="auto"` reads; returns the new rows."""
    device = jax.devices()[0]
    rows = json.loads(table.read_text())["rows"] if table.exists() else []
    for name, task in dict.fromkeys((arm.preset, arm.task) for arm in measured):
        preset = fidelity.get(name)
        candidates = [a for a in measured if (a.preset, a.task) == (name, task)]
        best = min(candidates, key=lambda arm: arm.evaluation_s(preset.steps()))
        shape = {"backend": device.platform, "device": device.device_kind, "d": preset.d, "batch": preset.batch}
        shape["length"] = best.length
        row = shape | {"engine": best.setup.engine, "micro": best.setup.micro, "attention": best.setup.attention}
        row |= {"compile_s": round(best.compile_s, 2), "step_s": round(best.step_s, 4), "gflops": round(best.gflops, 1)}
        row["measured_on"] = provenance.hardware()
        rows = [old for old in rows if any(old[key] != value for key, value in shape.items())] + [row]
    rows.sort(key=lambda row: (row["backend"], row["device"], row["d"], row["batch"], row["length"]))
    text = ",\n  ".join(json.dumps(row) for row in rows)
    write_atomically(table, f'{{"rows": [\n  {text}\n]}}\n'.encode())
    return rows


def peer(cache_dir: Path | None = None) -> ProxyResult:
    """In-context recall at paper shapes, 12 epochs, tanh-GELU: what mad-lab's own loop was measured with."""
    paper = fidelity.get("paper")
    preset = dataclasses.replace(paper, name="peer", epochs=12, activation=fidelity.Activation.GELU_TANH)
    return evaluator.evaluate("8(A-M)", preset=preset, tasks=["in-context-recall"], cache_dir=cache_dir)


def correlate(n: int, low: Preset, high: Preset, seeds: Sequence[int], cache_dir: Path | None) -> Iterator[str]:
    """Markdown lines: `n` patterns at both presets, then for every signal of `low`, and for the number of attention
    layers alone, how well it ranks them as the metric of `high` does.

    Both are scored as a search scores, on validation rows; `high` with an evaluator seed that `low` does not use.
    """
    options = {"split": Split.VALIDATION, "cache_dir": cache_dir}
    columns = [f"{kind}, seed {seed}" for kind in Signal for seed in seeds]
    yield f"| pattern | {high.name} | {low.name}: " + " | ".join(columns) + " |"
    yield "|---" * (2 + len(columns)) + "|"
    dear, counts, cheap, seconds = [], [], [], []
    for pattern in correlation.sample(n):
        results = evaluator.evaluate_seeds(pattern, preset=low, eval_seeds=seeds, **options)
        cheap.append([[result.signal(kind) for result in results] for kind in Signal])
        seconds += [result.train_s for result in results if not result.cached]
        dear.append(evaluator.evaluate(pattern, preset=high, eval_seed=max(seeds) + 1, **options).score)
        counts.append(pattern.counts()["A"])
        figures = " | ".join(f"{value:.4f}" for row in cheap[-1] for value in row)
        yield f"| {pattern.pretty()} | {dear[-1]:.4f} | {figures} |"
    yield f"\n{n} patterns against {high.name}, 95 % intervals over patterns"
    if seconds:
        yield f"{low.name}: {np.mean(seconds):.1f} s of training a pattern and seed"
    yield "| signal | variance ratio | Spearman | given the counts |\n|---|---|---|---|"
    for kind, scores_PS in zip(Signal, np.asarray(cheap).swapaxes(0, 1), strict=True):
        better_PS = scores_PS if kind is Signal.METRIC else -scores_PS
        yield "| " + " | ".join([kind, *_ranking(better_PS, dear, counts)]) + " |"
    rho = correlation.with_interval(correlation.spearman, counts, dear)
    yield f"| counts only: more A | | {rho} | |"


def _ranking(better_PS: np.ndarray, dear: Sequence[float], counts: Sequence[int]) -> Iterator[str]:
    """Variance ratio, Spearman's rho of the mean over seeds, and what of it the counts leave."""
    many = better_PS.shape[1] > 1
    yield str(correlation.with_interval(correlation.variance_ratio, better_PS)) if many else "one seed"
    mean_P = better_PS.mean(axis=1)
    yield str(correlation.with_interval(correlation.spearman, mean_P, dear))
    yield str(correlation.with_interval(correlation.partial, mean_P, dear, counts))


def _parameters(trainer: Trainer) -> int:
    model = trainer.model.wrapper.clone(layers=trainer.model.program.layers)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 2), jnp.int32))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))
