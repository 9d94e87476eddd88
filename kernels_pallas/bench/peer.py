"""The peer arm: mamba_ssm's Triton kernels from a local checkout, in a process of their own that imports no JAX."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from kernels_pallas import cases
from kernels_pallas.bench import shapes
from kernels_pallas.common import roofline

SCRIPT = Path(__file__).with_name("mamba_ssm_peer.py")
FILES = (
    *(f"ops/triton/{name}.py" for name in ("ssd_combined", "ssd_bmm", "ssd_chunk_state", "ssd_state_passing")),
    *(f"ops/triton/{name}.py" for name in ("ssd_chunk_scan", "softplus", "layernorm_gated", "k_activations")),
    "utils/torch.py",
    "utils/determinism.py",
)
TOLERANCE = 1e-2


@dataclasses.dataclass(frozen=True)
class Checkout:
    """A mamba_ssm checkout and the Python that has torch and triton."""

    path: Path
    python: str

    def missing(self) -> str | None:
        """Why the peer cannot run, or None."""
        absent = [f for f in FILES if not (self.path / "mamba_ssm" / f).exists()]
        if absent:
            return f"{self.path} lacks mamba_ssm/{absent[0]}"
        if shutil.which(self.python) is None:
            return f"--peer_python: no program {self.python}"
        probe = subprocess.run(
            [self.python, "-c", "import torch, triton, einops"], capture_output=True, text=True, check=False
        )
        return None if probe.returncode == 0 else f"{self.python}: {probe.stderr.strip().splitlines()[-1]}"


def find(path: str, python: str) -> tuple[Checkout | None, str]:
    """The checkout if it can run, and the line that says so or why not."""
    if not path:
        return None, "peer: not run (no --mamba_ssm_path)"
    checkout = Checkout(Path(path), python or sys.executable)
    reason = checkout.missing()
    return (None, f"peer: not run ({reason})") if reason else (checkout, f"peer: {path}")


def measure(checkout: Checkout, spec, chunk: int) -> dict:
    """Times of the peer at one chunk, and the error of its y against ours."""
    case = shapes.case(spec)
    with tempfile.TemporaryDirectory() as folder:
        raw = {k: v.view(np.uint16) if v.dtype.itemsize == 2 else v for k, v in case.arrays.items()}
        np.savez(Path(folder) / "inputs.npz", **raw)
        command = [checkout.python, str(SCRIPT), str(checkout.path), folder, str(chunk)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=_environment())
        if done.returncode:
            return {"error": f"peer: {done.stderr.strip()[-500:]}"}
        row = json.loads((Path(folder) / "result.json").read_text())
        y = np.load(Path(folder) / "y.npy")
    ours = np.asarray(case.evaluate("auto")["y"], np.float32)
    error = cases.rms_error(y, ours)
    done_work = roofline.work(spec, chunk)
    work = {"gflop_fwd": done_work.forward_flops / 1e9, "gflop_bwd": done_work.backward_flops / 1e9}
    return row | work | {"rms_errors": {"y": error}, "error": None if error <= TOLERANCE else f"y rms {error:.1e}"}


def _environment() -> dict:
    return {k: v for k, v in os.environ.items() if k != "MAMBA_DETERMINISTIC"}
