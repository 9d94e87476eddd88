"""Wall time of one residual block of each primitive on the device at hand.

B batch, L length, D model dim.
"""

import dataclasses
import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from aira_jax.compose.dims import Dims, primitives
from aira_jax.primitives.attention import AttentionImpl
from aira_jax.primitives.block import Large
from aira_jax.scaling.latency import BlockTable, Mode, Timed
from kernels_pallas.bench import provenance


def profile(
    dims: Dims,
    *,
    mode: Mode,
    batch: int,
    length: int,
    attention: AttentionImpl = AttentionImpl.DENSE,
    ssd: str = "auto",
    dtype: str = "bfloat16",
    warmup: int = 10,
    runs: int = 50,
    clock: Callable[[], float] = time.perf_counter,
) -> BlockTable:
    """Times one block of each primitive of the space on jax's default device, input [batch, length, d_model].

    Raises ValueError for sizes below 1, an unknown dtype, and where a block does not fit into memory.
    """
    for name, value, least in (("batch", batch, 1), ("length", length, 1), ("runs", runs, 1), ("warmup", warmup, 0)):
        if value < least:
            raise ValueError(f"{name}={value} is too small: give at least {least}")
    if dtype not in ("bfloat16", "float32"):
        raise ValueError(f"dtype {dtype!r} is not profiled: use bfloat16 or float32")
    config = Large(dims, attention, ssd, dtype)
    found = {}
    for primitive in primitives(dims.space):
        try:
            found[primitive] = _timed(*program(config, primitive, mode, batch, length), warmup, runs, clock)
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            raise ValueError(
                f"one {primitive} block at batch {batch}, length {length}, mode {mode} does not fit into memory: "
                "lower the batch or the length"
            ) from error
    return BlockTable(
        device=provenance.hardware(),
        scale=dims.name,
        space=dims.space,
        mode=mode,
        batch=batch,
        length=length,
        dtype=dtype,
        attention=str(attention),
        ssd=ssd,
        dims=dataclasses.asdict(dims),
        versions={"jax": jax.__version__, "numpy": np.__version__},
        blocks=found,
    )


def program(config: Large, primitive: str, mode: Mode, batch: int, length: int):
    """A function of a block and its arguments, both with random weights and inputs."""
    block = config.block(primitive)
    key = jax.random.key(0)
    x_BLD = jax.random.normal(key, (batch, 1 if mode is Mode.DECODE else length, config.dim), config.dtype)
    params = jax.jit(block.init)(key, x_BLD)
    if mode is Mode.FORWARD:
        return block.apply, (params, x_BLD)
    if mode is Mode.TRAIN:

        def loss(params, x_BLD):
            return jnp.sum(block.apply(params, x_BLD).astype(jnp.float32))

        return jax.grad(loss, argnums=(0, 1)), (params, x_BLD)
    cache = block.apply(params, batch, length + 1, method="init_cache")

    def step(params, x_BD, cache):
        return block.apply(params, x_BD, cache, jnp.int32(length), method="step")

    return step, (params, x_BLD[:, 0], cache)


def _timed(function: Callable, arguments: tuple, warmup: int, runs: int, clock: Callable[[], float]) -> Timed:
    started = clock()
    compiled = jax.jit(function).lower(*arguments).compile()
    compile_s = clock() - started
    for _ in range(warmup):
        jax.block_until_ready(compiled(*arguments))
    seconds = []
    for _ in range(runs):
        started = clock()
        jax.block_until_ready(compiled(*arguments))
        seconds.append(clock() - started)
    low, median, high = statistics.quantiles(seconds, n=4) if runs > 1 else seconds * 3
    return Timed(median_ms=1e3 * median, low_ms=1e3 * low, high_ms=1e3 * high, runs=runs, compile_s=compile_s)
