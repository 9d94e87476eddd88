"""What only a GPU can show: the kernels compile, agree with XLA at real shapes, and meet their targets."""

import subprocess
import sys
from pathlib import Path

import jax
import pytest

from kernels_pallas import selfcheck
from kernels_pallas.bench.shapes import OPS, shape, spec

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench_kernels.py"
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(jax.default_backend() != "gpu", reason="needs a CUDA GPU: kernels compile and run only there"),
]


@pytest.mark.parametrize("scale", ["350m", "1b", "3b"])
def test_kernels_agree_with_xla(scale):
    checks = [(op, spec(op, shape(scale), "bfloat16")) for op in OPS[:3]]
    found = selfcheck(*zip(*checks, strict=True))
    assert all(check.checked for check in found), found


@pytest.mark.slow
def test_targets(tmp_path):
    command = [
        sys.executable,
        str(SCRIPT),
        "--device=gpu",
        "--shapes=1b",
        f"--out={tmp_path / 'out.json'}",
        "--check_targets",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
