"""Trains one language model from a config, or continues what lies in the folder: one function, from top to bottom."""

import contextlib
import dataclasses
import functools
import hashlib
import json
import math
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from aira_jax.compose import flops
from aira_jax.core import files, machine
from aira_jax.models.hybrid import HybridLM
from aira_jax.pretrain import hardware, processes, sharding
from aira_jax.pretrain.data import Ahead, Source, make_source
from aira_jax.pretrain.objective import Objective
from aira_jax.pretrain.schedule import learning_rate, warmup_steps
from aira_jax.pretrain.settings import Design, Settings, design
from aira_jax.primitives.attention import AttentionImpl
from aira_jax.primitives.block import Large
from aira_jax.train import checkpoints as checkpoints_lib
from aira_jax.train import memory, step
from aira_jax.train.clock import Clock
from aira_jax.train.errors import Interrupted, NotFinite
from aira_jax.train.folder import CHECKPOINTS, METRICS, begin, held
from aira_jax.train.groups import Rule
from aira_jax.train.loop import Every, Hook, Loop, Profile
from aira_jax.train.metrics import MetricsLog, read
from aira_jax.train.optimizer import adamw
from aira_jax.train.sharding import Layout

RESULT, SETTINGS = "result.json", "settings.json"
DEPTH = 2  # batches made ahead
LAST = 100  # updates whose mean loss is the training loss
KERNELS_ALONE = (Rule(r"kernel$"), Rule("", weight_decay=0.0))


def train(settings: Settings, folder: Path, say=print) -> dict[str, Any]:
    """The result of the run, also written to folder/result.json; its `status` is completed, preempted or diverged.

    Raises: ValueError for settings that contradict each other, the machine or what lies in the folder.
    """
    started = time.perf_counter()
    main = jax.process_index() == 0
    say = say if main else (lambda *words: None)

    # ---- what is trained, on what -----------------------------------------------------------------------------------
    chosen = design(settings.model)
    mesh = sharding.mesh(settings.mesh)
    layout = sharding.layout(mesh, settings.mesh.min_shard_elements)
    accumulation = accumulation_of(settings, mesh.size)
    source = source_of(settings, chosen)
    attention = hardware.attention(settings.model.attention, settings.model.dtype, chosen.dims.head_dim)
    model = language_model(settings, chosen, attention)
    update = training_step(settings, model, layout)
    counts = sizes(chosen)
    for line in _opening(settings, chosen, model, mesh, accumulation, counts):
        say(line)

    # ---- compile ----------------------------------------------------------------------------------------------------
    shape = (accumulation, settings.batch // accumulation, settings.length + 1)
    began = time.perf_counter()
    with memory.watched():
        program = update.lower(jax.ShapeDtypeStruct(shape, np.int32)).compile()
    compile_s = time.perf_counter() - began
    need = memory.need_bytes(program)
    memory.refuse(need, memory.limit_bytes(jax.local_devices()[0]), settings.batch, None)
    say(f"compiled in {compile_s:.1f} s; a step needs {need / 2**20:,.0f} MiB a device")

    # ---- begin or continue ------------------------------------------------------------------------------------------
    identity = _identity(settings, chosen, source)
    result: dict[str, Any] = {"status": "completed"}
    with contextlib.ExitStack() as open_:
        if main:
            open_.enter_context(held(folder))
            begin(folder, identity, ours=(RESULT, SETTINGS, "metrics.orphan.jsonl", "profile"))
            files.write_json(folder / SETTINGS, dataclasses.asdict(settings))
        saving = checkpoints_lib.Saving(settings.saving.value)
        saved = checkpoints_lib.Checkpoints(folder / CHECKPOINTS, kept=settings.kept, saving=saving)
        open_.enter_context(saved)
        first = saved.latest or 0
        state = saved.restore(update.shapes) if first else update.initial()
        log = MetricsLog(folder / METRICS, first, lambda row: None) if main else None
        if first:
            say(f"continues after update {first:,}")

        # ---- the updates --------------------------------------------------------------------------------------------
        clock = Clock(settings.steps, first, started=started)

        def batch_at(number: int) -> jax.Array:
            return placed(layout, shape, lambda rows: source.batch(settings.seed, number, rows))

        batches = open_.enter_context(Ahead(batch_at, DEPTH, settings.steps))

        rates = functools.partial(_rates, clock, settings, counts)
        note = Every(settings.log_every, first=True)

        def write(done: int, values) -> None:
            row = {"kind": "train", "step": done, **{key: float(value) for key, value in values.items()}}
            row["tokens"] = done * settings.batch * settings.length
            if note(done, settings.steps):
                row |= rates() | {"data_wait": batches.waited_s / max(clock.wall_s, 1e-9)}
                say(_line(row, settings.steps))
            if log:
                log.append(row)

        measure = Validation(settings, model, layout, source)

        def evaluate(done: int, state) -> None:
            row = {"kind": "validation", "step": done, **measure(state.params)}
            say(f"{done:>8,}/{settings.steps:,}  validation loss {row['val_loss']:.4f}")
            if log:
                log.append(row)

        hooks = [
            Hook(evaluate, Every(settings.eval_every)),
            Hook(saved.save, Every(settings.save_every), on_signal=True),
        ]
        if settings.profile_start:
            hooks.append(Profile(folder / "profile", settings.profile_start, settings.profile_steps))
        try:
            with memory.watched():
                several = processes.told_to_stop if jax.process_count() > 1 else None
                told = {"on_metrics": [Hook(write, Every(1))], "on_state": hooks, "told_to_stop": several}
                state = Loop(program, batches, clock, **told).run(state)
        except Interrupted as stopped:
            result = {"status": "preempted", "signal": stopped.number}
            say(f"{stopped}; the same command continues")
        except NotFinite as error:
            result = {"status": "diverged", "reason": str(error)}
            say(f"diverged: {error}")
        clock.pause()
        saved.wait()

        # ---- what came of it ----------------------------------------------------------------------------------------
        if log:
            log.close()
        result |= {
            **counts,
            **_facts(settings, chosen, model, mesh, source),
            **rates(),
            "steps": clock.done,
            "tokens": clock.done * settings.batch * settings.length,
            "flops_paper": clock.done * settings.batch * settings.length * counts["flops_per_token"],
            **_losses(folder),
            "peak_hbm_bytes": memory.peak_bytes(),
            "compile_s": compile_s,
            "wall_s": clock.wall_s,
            "checkpoint": str(folder / CHECKPOINTS / str(saved.latest)) if saved.latest else None,
        }
        if main:
            files.write_json(folder / RESULT, result)
    return files.finite(result)


def source_of(settings: Settings, chosen: Design) -> Source:
    """The rows of a run."""
    return make_source(settings.data, length=settings.length, vocab=chosen.dims.vocab, rows=settings.batch)


def language_model(settings: Settings, chosen: Design, attention: AttentionImpl) -> HybridLM:
    """The model of a design."""
    wanted = settings.model
    size = Large(chosen.dims, attention, wanted.ssd, wanted.dtype)
    layers = chosen.pattern.layers
    return HybridLM(size, layers, chosen.dims.vocab, wanted.scan, wanted.remat)


def training_step(settings: Settings, model: HybridLM, layout: Layout) -> step.Step:
    """Initial state and update of a run: AdamW by the gradient of the mean loss. Raises ValueError for short runs."""
    wanted = settings.optimizer
    warmup = warmup_steps(settings.steps) if wanted.warmup is None else wanted.warmup
    rate = learning_rate(wanted.decay, wanted.peak * wanted.scale, settings.steps, warmup)
    optimizer = adamw(
        rate,
        weight_decay=wanted.weight_decay,
        grad_clip=wanted.clip,
        beta1=wanted.beta1,
        beta2=wanted.beta2,
        epsilon=wanted.epsilon,
        rules=KERNELS_ALONE,
    )
    objective = objective_of(settings, model, layout)

    def create():
        return step.create(model.init(step.stream(settings.seed, 0)), optimizer)

    def update(state, tokens_ABT):
        loss, grads = objective.gradient(state.params, tokens_ABT)
        return step.apply_gradients(state, loss, grads, {}, {}, optimizer, rate)

    return step.Step(create, update, layout)


def objective_of(settings: Settings, model: HybridLM, layout: Layout) -> Objective:
    """The loss of a run on its mesh."""
    wanted = settings.model
    return Objective(model, layout, wanted.loss, wanted.loss_block, settings.optimizer.z_loss)


def placed(layout: Layout, shape: tuple[int, ...], rows_of) -> jax.Array:
    """Windows [A, B, ..] on the devices; `rows_of(rows)` gives the records of the rows that this process holds."""

    def part(index: tuple[slice, ...]) -> np.ndarray:
        rows_AB = np.arange(shape[0] * shape[1]).reshape(shape[:2])[index[:2]]
        return rows_of(rows_AB.reshape(-1)).reshape(*rows_AB.shape, *shape[2:])

    return jax.make_array_from_callback(shape, layout.split, part)


class Validation:
    """The loss of the first windows of the held-out documents: `(params)` -> val_loss, val_bpb, in nats and bits."""

    def __init__(self, settings: Settings, model: HybridLM, layout: Layout, source: Source):
        self.layout, self.tokens = layout, source.held_out(settings.eval_windows)
        self.rows = settings.batch // accumulation_of(settings, layout.mesh.size)
        lengths = source.tokenizer and source.tokenizer.lengths
        labels = self.tokens[:, 1:]
        self.bytes = np.ones_like(labels) if lengths is None else lengths[labels].astype(np.int32)
        self.has_text = lengths is not None
        self.scores = jax.jit(objective_of(settings, model, layout).scores)

    def __call__(self, params: Any) -> dict[str, float | None]:
        sums = np.zeros(2)
        for start in range(0, len(self.tokens), self.rows):
            tokens, counted = (
                self._padded(a[start : start + self.rows], v) for a, v in ((self.tokens, 0), (self.bytes, -1))
            )
            sums += np.array(jax.device_get(self.scores(params, tokens, counted)))
        bits = sums[1] / math.log(2) / self.bytes.sum() if self.has_text else None
        return {"val_loss": float(sums[0] / self.bytes.size), "val_bpb": None if bits is None else float(bits)}

    def _padded(self, rows: np.ndarray, value: int) -> jax.Array:
        missing = self.rows - len(rows)
        whole = np.pad(rows, [(0, missing), (0, 0)], constant_values=value)
        return placed(self.layout, (1, *whole.shape), lambda wanted: whole[wanted])


def accumulation_of(settings: Settings, devices: int) -> int:
    """How many microbatches make a step. Raises ValueError with the microbatches that divide it."""
    each, rest = divmod(settings.batch, devices)
    if rest:
        raise ValueError(f"batch={settings.batch} sequences cannot be split over {devices} devices: use a multiple")
    micro = settings.microbatch or each
    if each % micro:
        pairs = ", ".join(f"({n}, {each // n})" for n in range(1, each + 1) if each % n == 0)
        raise ValueError(
            f"microbatch={micro}: {devices} devices x microbatch x accumulation must be batch={settings.batch}; "
            f"legal (microbatch, accumulation): {pairs}"
        )
    return each // micro


def sizes(chosen: Design) -> dict[str, int]:
    parameters = flops.params(chosen.pattern, chosen.dims)
    return {
        "n_params": parameters.non_embedding,
        "n_embedding": parameters.total - parameters.non_embedding,
        "flops_per_token": flops.flops_per_token(chosen.pattern, chosen.dims),
    }


def _identity(settings: Settings, chosen: Design, source: Source) -> dict[str, Any]:
    """What may not change when a run continues; steps, logging, mesh and microbatch may."""
    return {
        "pattern": chosen.pattern.canonical(),
        "dims": dataclasses.asdict(chosen.dims),
        "scan": settings.model.scan.value,
        "length": settings.length,
        "batch": settings.batch,
        "seed": settings.seed,
        "data": source.digest,
        "tokenizer": source.tokenizer and source.tokenizer.digest,
        "optimizer": "adamw",
    }


def _facts(settings: Settings, chosen: Design, model: HybridLM, mesh, source: Source) -> dict[str, Any]:
    plain = json.dumps(dataclasses.asdict(settings), sort_keys=True)
    return {
        "arch": settings.model.arch or chosen.arch,
        "pattern": chosen.pattern.canonical(),
        "space": chosen.dims.space,
        "scale": settings.model.scale,
        "seed": settings.seed,
        "schedule": settings.optimizer.decay.value,
        "mesh": dict(mesh.shape),
        "attention_impl": model.size.attention.value,
        "ssd_impl": model.size.ssd_impl,
        "loss_impl": settings.model.loss.value,
        "remat": settings.model.remat.value,
        "xla_flags": hardware.xla_flags(),
        "device_kind": jax.devices()[0].device_kind,
        "n_devices": jax.device_count(),
        "n_processes": jax.process_count(),
        "versions": machine.versions(),
        "commit": machine.commit(),
        "config_sha256": hashlib.sha256(plain.encode()).hexdigest(),
        "data_sha256": source.digest,
        "tokenizer_sha256": source.tokenizer and source.tokenizer.digest,
    }


def _rates(clock: Clock, settings: Settings, counts: dict[str, int]) -> dict[str, float | None]:
    tokens_per_s = clock.steps_per_s * settings.batch * settings.length / jax.device_count()
    chosen, peak = design(settings.model), hardware.peak_flops()
    unembedding = 6 * chosen.dims.vocab * chosen.dims.d_model
    full = counts["flops_per_token"] + unembedding
    causal = full - 6 * settings.length * chosen.dims.query_dim * chosen.pattern.counts().get("A", 0)
    return {
        "steps_per_s": clock.steps_per_s,
        "tokens_per_s": tokens_per_s,
        "mfu": peak and tokens_per_s * full / peak,
        "mfu_causal": peak and tokens_per_s * causal / peak,
        "eta_s": clock.eta_s if clock.updates else None,
        "wall_s": clock.wall_s,
    }


def _losses(folder: Path) -> dict[str, float | None]:
    """The mean training loss of the last updates, and the last validation."""
    rows = list(read(folder / METRICS))
    losses = [row["loss"] for row in rows if row["kind"] == "train"][-LAST:]
    measured = next((row for row in reversed(rows) if row["kind"] == "validation"), {})
    mean = sum(losses) / len(losses) if losses else None
    return {"train_loss": mean, "val_loss": measured.get("val_loss"), "val_bpb": measured.get("val_bpb")}


def _opening(settings: Settings, chosen: Design, model: HybridLM, mesh, accumulation: int, counts) -> list[str]:
    units = ", ".join(f"{segment.repeats} x ({'-'.join(segment.unit)})" for segment in model.plan)
    return [
        f"{chosen.arch or 'pattern'} {chosen.pattern.canonical()}: {counts['n_params']:,} parameters "
        f"+ {counts['n_embedding']:,} embedding, {counts['flops_per_token']:,} FLOPs a token",
        f"{jax.device_count()} x {jax.devices()[0].device_kind}, mesh {mesh.shape[sharding.REPLICA]} x "
        f"{mesh.shape[sharding.FSDP]}, attention {model.size.attention}, ssd {model.size.ssd_impl}, "
        f"loss {settings.model.loss}, remat {model.remat}, scan {units}",
        f"{settings.batch} x {settings.length} tokens a step in {accumulation} microbatches, {settings.steps:,} steps",
    ]


def _line(row: dict[str, Any], total: int) -> str:
    mfu = "" if row["mfu"] is None else f"  mfu {row['mfu']:.1%}"
    return (
        f"{row['step']:>8,}/{total:,}  loss {row['loss']:.4f}  norm {row['grad_norm']:.2f}  lr {row['lr']:.2e}  "
        f"{row['tokens_per_s']:,.0f} tokens/s/device{mfu}"
        + ("" if row["eta_s"] is None else f"  {row['eta_s']:.0f} s left")
    )
