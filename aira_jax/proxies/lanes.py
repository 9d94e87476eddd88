"""From models that shall be trained to scores: groups them, picks an engine, survives divergence and full memory."""

import dataclasses
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import jax

import kernels_pallas
from aira_jax.core.machine import versions
from aira_jax.patterns import options, registry
from aira_jax.proxies import engine_table, metrics, proxy_model
from aira_jax.proxies.compile_cache import Compiler
from aira_jax.proxies.fidelity import Preset
from aira_jax.proxies.proxy_model import Setup
from aira_jax.proxies.result import TaskScore, TaskStatus
from aira_jax.proxies.train import Lane, Outcome, Trainer

_LOG = logging.getLogger(__name__)
_REPORT_S = 30.0


@dataclasses.dataclass(frozen=True)
class Scored:
    """A trained lane. Seconds are its share of its group's; `curve` is the mean training loss per epoch."""

    lane: Lane
    score: TaskScore
    epoch: int
    stopped: bool
    steps: int
    curve: list[float]
    train_s: float
    compile_s: float
    engine: str
    parameters: int


def train(
    lanes: Sequence[Lane], preset: Preset, layers: tuple[str, ...], *, engine: str, programs: Path | None
) -> list[Scored]:
    """Trains all lanes, those of equal shape together; compiled programs are kept in `programs`."""
    groups = defaultdict(list)
    for lane in lanes:
        groups[lane.shape].append(lane)
    compiler = Compiler(programs)
    return [scored for group in groups.values() for scored in _train_group(group, preset, layers, engine, compiler)]


def machine() -> dict[str, str]:
    """The device, and the versions of what computes the scores."""
    device = jax.devices()[0]
    return {"device": f"{device.platform}:{device.device_kind}", **versions()}


def kernels(layers: Sequence[str]) -> dict[str, str]:
    """Operator -> implementation of the kernels that layers of Mamba-2 ran; empty without such layers."""
    if not any(registry.get(options.read(layer).primitive).kernels for layer in layers):
        return {}
    return {row["op"]: row["impl"] for row in kernels_pallas.chosen()}


def _train_group(lanes, preset, layers, engine, compiler) -> list[Scored]:
    device = jax.devices()[0]
    length = lanes[0].train.x.shape[1]
    choice = engine_table.choose(engine, preset, length, backend=device.platform, device=device.device_kind)
    smaller = dataclasses.replace(choice.setup, micro=max(choice.setup.micro // 4, 1))
    for setup in (choice.setup, smaller):
        try:
            return _attempt(lanes, preset, layers, setup, compiler)
        except (jax.errors.JaxRuntimeError, MemoryError) as error:
            if isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):
                raise
            _LOG.warning("out of memory with %d rows per pass: %s", setup.micro, error)
    return [_out_of_memory(lane, preset, layers, smaller) for lane in lanes]


def _out_of_memory(lane: Lane, preset: Preset, layers: tuple[str, ...], setup: Setup) -> Scored:
    parameters = _parameters(lane, preset, layers, setup)
    worst = TaskScore.worst(TaskStatus.OOM)
    return Scored(lane, worst, 0, False, 0, [], 0.0, 0.0, engine_table.describe(setup), parameters)


def _attempt(
    lanes: Sequence[Lane], preset: Preset, layers: tuple[str, ...], setup: Setup, compiler: Compiler
) -> list[Scored]:
    start = time.perf_counter()
    trainer = Trainer(preset, layers, lanes, setup, compiler)
    outcomes = trainer.run(_reporter(lanes, preset))
    train_s, compile_s = time.perf_counter() - start - trainer.compile_s, trainer.compile_s
    steps_per_epoch = -(-len(lanes[0].train) // preset.batch)
    return [
        Scored(
            lane,
            _score(lane, outcome),
            outcome.epoch,
            outcome.stopped,
            len(outcome.losses),
            [round(float(loss), 6) for loss in outcome.losses.reshape(-1, steps_per_epoch).mean(axis=1)],
            train_s / len(lanes),
            compile_s / len(lanes),
            engine_table.describe(setup),
            _parameters(lane, preset, layers, setup),
        )
        for lane, outcome in zip(lanes, outcomes, strict=True)
    ]


def _score(lane: Lane, outcome: Outcome) -> TaskScore:
    if outcome.diverged:
        return TaskScore.worst(TaskStatus.DIVERGED)
    accuracies = (accuracy(outcome.predictions, lane.test.y) for accuracy in (metrics.micro, metrics.macro))
    return TaskScore(*accuracies, outcome.loss)


def _parameters(lane: Lane, preset: Preset, layers: tuple[str, ...], setup: Setup) -> int:
    autoencoder = lane.task == "compression"
    return proxy_model.build(preset, layers, autoencoder=autoencoder, vocab=lane.vocab, setup=setup).parameters()


def _reporter(lanes: Sequence[Lane], preset: Preset) -> Callable[[int, float], None]:
    """Logs the progress of a long training now and then, with the time that is left."""
    start = last = time.perf_counter()
    names = ", ".join(dict.fromkeys(lane.task for lane in lanes))

    def report(epoch: int, loss: float) -> None:
        nonlocal last
        now = time.perf_counter()
        if now - last >= _REPORT_S:
            last = now
            left = (now - start) / epoch * (preset.epochs - epoch)
            _LOG.info("%s: epoch %d of %d, loss %.3f, %.0f s left", names, epoch, preset.epochs, loss, left)

    return report
