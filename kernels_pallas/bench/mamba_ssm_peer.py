"""Times mamba_ssm's Triton kernels; run by scripts/bench_kernels.py in a Python that has torch and triton, without JAX.

    python kernels_pallas/bench/mamba_ssm_peer.py <checkout> <folder with inputs.npz> <chunk>

Reads x, dt, A, B, C, D, dt_bias (bfloat16 as uint16), writes y.npy and result.json. Only ten files of the checkout are
needed; its package __init__ files are replaced by empty modules, because they import more than the kernels.
"""

import json
import shutil
import statistics
import subprocess
import sys
import types
from pathlib import Path

import numpy as np


def register(checkout: Path) -> None:
    """Empty packages whose paths point into the checkout."""
    for name in ("mamba_ssm", "mamba_ssm.ops", "mamba_ssm.ops.triton", "mamba_ssm.utils"):
        module = types.ModuleType(name)
        module.__path__ = [str(checkout / name.replace(".", "/"))]
        sys.modules[name] = module


def load(path: Path):
    """The inputs as torch tensors on the GPU."""
    import torch

    def tensor(array):
        if array.dtype == np.uint16:
            return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16).cuda()
        return torch.from_numpy(array).cuda()

    with np.load(path) as arrays:
        return {k: tensor(arrays[k]) for k in arrays.files}


def time_us(fn, least_s: float = 0.2, repeats: int = 5) -> float:
    """Median microseconds per call of queues between two CUDA events."""
    import torch

    for _ in range(10):
        fn()
    torch.cuda.synchronize()

    def queue(calls: int) -> float:
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(calls):
            fn()
        stop.record()
        torch.cuda.synchronize()
        return start.elapsed_time(stop) * 1e3 / calls

    calls = max(1, round(least_s * 1e6 / queue(1)))
    return statistics.median(queue(calls) for _ in range(repeats))


def main(checkout: str, folder: str, chunk: str) -> None:
    register(Path(checkout))
    import torch
    import triton
    from mamba_ssm.ops.triton.ssd_combined import mamba_chunk_scan_combined

    a = load(Path(folder) / "inputs.npz")
    leaves = [v.requires_grad_() for v in a.values()]

    def forward():
        x, dt, A, B, C, D, dt_bias = (a[k] for k in ("x", "dt", "A", "B", "C", "D", "dt_bias"))
        return mamba_chunk_scan_combined(x, dt, A, B, C, int(chunk), D=D, dt_bias=dt_bias, dt_softplus=True)

    def both():
        return torch.autograd.grad(forward().float().pow(2).sum(), leaves)

    y = forward().detach().float().cpu().numpy()
    with torch.no_grad():
        fwd = time_us(forward)
    total = time_us(both)
    np.save(Path(folder) / "y.npy", y)
    result = {
        "fwd_us": fwd, "fwd_bwd_us": total, "bwd_us": total - fwd, "fwd_device_us": fwd, "fwd_bwd_device_us": total,
        "fwd_cpu_us": 0.0, "fwd_bwd_cpu_us": 0.0, "compile_s": 0.0, "dispatch_bound": False,
        "torch": torch.__version__, "triton": triton.__version__, "peer_commit": commit(checkout),
    }  # fmt: skip
    (Path(folder) / "result.json").write_text(json.dumps(result))


def commit(checkout: str) -> str | None:
    """The commit of the checkout; None where it is no repository."""
    command = ["git", "-C", checkout, "rev-parse", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False) if shutil.which("git") else None
    return done.stdout.strip() if done and done.returncode == 0 else None


if __name__ == "__main__":
    main(*sys.argv[1:])
