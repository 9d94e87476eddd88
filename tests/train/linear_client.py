"""A client of the training kit from outside: linear regression on random rows.

    python tests/train/linear_client.py FOLDER [--key=value ...]

B batch, D features.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from aira_jax.core.cli import Exit
from aira_jax.train import memory, step
from aira_jax.train.checkpoints import Checkpoints, Saving
from aira_jax.train.clock import Clock
from aira_jax.train.errors import Interrupted
from aira_jax.train.folder import begin, held
from aira_jax.train.groups import Decay
from aira_jax.train.loop import Every, Hook, Loop
from aira_jax.train.metrics import MetricsLog
from aira_jax.train.optimizer import adamw
from aira_jax.train.schedule import schedule
from aira_jax.train.sharding import Layout, fsdp, mesh_of, replicated

BATCH, FEATURES, SEED = 8, 16, 3


def batch_of(update: int) -> dict[str, np.ndarray]:
    draws = np.random.default_rng((SEED, update))
    x_BD = draws.normal(size=(BATCH, FEATURES)).astype(np.float32)
    return {"x": x_BD, "y": x_BD.sum(axis=1)}


def step_of(total: int, *, sharded: bool = False, blows_up_at: int = -1) -> step.Step:
    rate = schedule("constant * linear_warmup", 1e-2, 4, decay=Decay.COSINE, total=total)
    optimizer = adamw(rate, weight_decay=0.1)

    def create():
        draw = jax.random.normal(step.stream(SEED, 0), (FEATURES, 4))
        return step.create({"w": draw, "b": jnp.zeros(())}, optimizer)

    def update(state, batch):
        noise = jax.random.normal(step.stream(SEED, 1, state.step), batch["y"].shape)

        def loss(params):
            guess_B = (batch["x"] @ params["w"]).sum(axis=1) + params["b"] + 0.1 * noise
            value = jnp.mean((guess_B - batch["y"]) ** 2)
            return jnp.where(state.step == blows_up_at, jnp.inf, value), ({"guess": guess_B.mean()}, {})

        return step.update(state, loss, optimizer, rate)

    devices = jax.local_devices()
    rule = fsdp("data", len(devices), smallest=1) if sharded else replicated
    return step.Step(create, update, Layout(mesh_of(devices), rule))


def compiled(chosen: step.Step):
    update = chosen.lower(jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), batch_of(0))).compile()
    assert memory.need_bytes(update) > 0
    return update


def train(
    folder: Path,
    total: int = 40,
    every: int = 10,
    saving: Saving = Saving.SYNC,
    sharded: bool = False,
    wait_s: float = 0.0,
):
    """The state after `total` updates, begun or continued in `folder`."""
    chosen = step_of(total, sharded=sharded)
    with held(folder), Checkpoints(folder / "checkpoints", saving=saving) as checkpoints:
        begin(folder, {"total": total})
        first = checkpoints.latest or 0
        state = checkpoints.restore(chosen.shapes) if first else chosen.initial()
        log = MetricsLog(folder / "metrics.jsonl", first, on_row=lambda row: time.sleep(wait_s))

        def write(done, values):
            log.append({"kind": "train", "step": done, **{key: float(value) for key, value in values.items()}})

        loop = Loop(
            compiled(chosen),
            lambda update: chosen.layout.place(batch_of(update)),
            Clock(total, first),
            on_metrics=[Hook(write, Every(1))],
            on_state=[Hook(checkpoints.save, Every(every), on_signal=True)],
        )
        return loop.run(state)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sharded", action="store_true")
    parser.add_argument("--wait_s", type=float, default=0.0)
    try:
        state = train(**vars(parser.parse_args()))
    except Interrupted as stopped:
        print(stopped, file=sys.stderr)
        return Exit.PREEMPTED
    mirrors = (state.params["w"], state.opt_state[0].mu["w"])
    print(json.dumps([shard.data.shape for leaf in mirrors for shard in leaf.addressable_shards]))
    return Exit.DONE


if __name__ == "__main__":
    sys.exit(main())
