"""JAX must work inside: it reserves address space, starts threads, compiles, and writes its caches where it may."""

import sys

import pytest

from aira_jax.sandbox.base import Limits, Status

SOURCE = """
import os, pathlib
import jax, jax.numpy as jnp
print(float(jax.jit(lambda x: (x @ x).sum())(jnp.ones((64, 64)))))
pathlib.Path(os.environ["AIRA_JAX_CACHE"], "result").write_text("kept")
"""


@pytest.mark.parametrize("gib", [2])
def test_jax_compiles_and_runs(lab, tmp_path, gib):
    (tmp_path / "cache").mkdir()
    execution = lab.run(
        SOURCE,
        python=(sys.executable, "-c"),
        limits=Limits(wall_s=60, memory_bytes=gib * 2**30, processes=32),
        env={"JAX_PLATFORMS": "cpu", "AIRA_JAX_CACHE": str(tmp_path / "cache")},
        writable=(tmp_path / "cache",),
    )
    assert execution.status is Status.OK, execution.output
    assert execution.output.endswith("262144.0\n")  # the extra h200 makes jax look for a driver, and say so
    assert (tmp_path / "cache" / "result").read_text() == "kept"
