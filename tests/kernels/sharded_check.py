"""Run by test_kernels_sharded.py in a process with eight CPU devices; prints errors and collectives as JSON."""

import collections
import functools
import json
import re
import sys

import jax
import jax.numpy as jnp
from jax.sharding import AxisType

from kernels_pallas import ConvSpec, SsdSpec, XentSpec, cases, causal_conv1d, linear_xent, ssd
from kernels_pallas.cases import rms_error
from kernels_pallas.conv1d.sharded import causal_conv1d_sharded
from kernels_pallas.linear_xent.sharded import linear_xent_sharded
from kernels_pallas.ssd.sharded import ssd_sharded

SEED = int(sys.argv[1])


def arrays(spec, **options):
    return {k: jnp.asarray(v) for k, v in cases.case(spec, SEED, **options).arrays.items()}


def mesh(**axes):
    return jax.make_mesh(tuple(axes.values()), tuple(axes), axis_types=(AxisType.Auto,) * len(axes))


def collectives(text: str) -> dict:
    """How often each collective occurs, and the shapes that all-reduce sums."""
    names = "all-gather|all-to-all|all-reduce|collective-permute|reduce-scatter"
    kinds = collections.Counter(re.findall(rf"= .*? ({names})(?:-start)?\(", text))
    summed = re.findall(r"= (.*?) all-reduce(?:-start)?\(", text)
    shapes = sorted({s for line in summed for s in re.findall(r"f32\[[\d,]*\]", line)})
    return {"kinds": dict(kinds), "summed": shapes}


def compare(one, two, a) -> dict:
    """Largest relative errors of outputs and gradients, and the collectives of the gradient."""
    floats = {k: v for k, v in a.items() if jnp.issubdtype(v.dtype, jnp.floating)}
    rest = {k: v for k, v in a.items() if k not in floats}

    def loss(fn):
        def scalar(floats):
            out = jax.tree.leaves(fn(**floats, **rest))
            return sum(jnp.sum(jnp.sin(v.astype(jnp.float32))) for v in out), out

        return jax.jit(jax.grad(scalar, has_aux=True))

    compiled = loss(two).lower(floats).compile()
    (want, want_out), (got, got_out) = loss(one)(floats), compiled(floats)
    errors = {f"output {i}": rms_error(*pair) for i, pair in enumerate(zip(got_out, want_out, strict=True))}
    errors |= {k: rms_error(got[k], want[k]) for k in floats}
    return {"error": max(errors.values()), "errors": errors} | collectives(compiled.as_text())


def over_batch_and_heads(batch: int, head: int) -> dict:
    a = arrays(SsdSpec(8, 24, 8, 4, 1, 4, segments=True), skip="H", bias=True, initial=True)
    m = mesh(batch=batch, head=head)
    run = functools.partial(ssd_sharded, mesh=m, batch_axes="batch", head_axis="head", impl="xla", chunk=8)
    return compare(functools.partial(ssd, impl="xla", chunk=8), run, a)


def over_time() -> dict:
    a, m = arrays(SsdSpec(2, 32, 8, 4, 2, 4), bias=True, initial=True), mesh(batch=1, head=2, time=4)
    axes = {"batch_axes": "batch", "head_axis": "head", "seq_axis": "time"}
    run = functools.partial(ssd_sharded, mesh=m, return_final_state=True, **axes)
    return compare(functools.partial(ssd, return_final_state=True), run, a)


def conv_over_time() -> dict:
    axes = {"batch_axes": "batch", "channel_axis": "head", "seq_axis": "time"}
    run = functools.partial(causal_conv1d_sharded, mesh=mesh(batch=1, head=2, time=4), **axes)
    return compare(causal_conv1d, run, arrays(ConvSpec(2, 32, 8, 4)))


def xent_over_tokens() -> dict:
    run = functools.partial(linear_xent_sharded, mesh=mesh(batch=8), batch_axes="batch", block=4)
    a = arrays(XentSpec(64, 8, 32, 4))
    return compare(lambda **k: linear_xent(**k, block=4)[0] / 64, lambda **k: run(**k)[0] / 64, a)


CHECKS = {
    "8x1": lambda: over_batch_and_heads(8, 1),
    "4x2": lambda: over_batch_and_heads(4, 2),
    "2x4": lambda: over_batch_and_heads(2, 4),
    "time": over_time,
    "conv": conv_over_time,
    "xent": xent_over_tokens,
}
assert jax.device_count() == 8
print(json.dumps({name: CHECKS[name]() for name in sys.argv[2:]}))
