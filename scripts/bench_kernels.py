"""Benchmark of the kernels: correctness of every arm, then its time, against simple programs and mamba_ssm.

    python scripts/bench_kernels.py --op=ssd --device=cpu --shape=small --json=out.json
    python scripts/bench_kernels.py --device=gpu --shapes=1b,350m,3b --out=h200.json --update_tuned --check_targets
    python scripts/bench_kernels.py --device=gpu --shapes=1b --sweep --arms=pallas_triton --out=h200.json --update_tuned

Run again with the same --json to finish an interrupted run. Exit code 1: an arm failed, was inaccurate, missed its
target (--check_targets), or the budget ran out.
"""

import os
import sys

from absl import flags, logging

from aira_jax.core import cli

OP = flags.DEFINE_string("op", "", "one operator (the same as --ops with one name)")
OPS = flags.DEFINE_list("ops", ["ssd"], "ssd, state_scan, conv1d, gated_norm, linear_xent")
SHAPE = flags.DEFINE_string("shape", "", "one shape (the same as --shapes with one name)")
SHAPES = flags.DEFINE_list("shapes", ["1b"], "1b, 350m, 3b, 1b_train, 350m_train, small, small_n16, small_long, tiny")
DEVICE = flags.DEFINE_enum("device", None, ["cpu", "gpu"], "device; default: a GPU where there is one")
DTYPE = flags.DEFINE_enum("dtype", None, ["bfloat16", "float32"], "default: float32 on CPU, bfloat16 on GPU")
CHUNKS = flags.DEFINE_list("chunks", [], "chunk lengths; default 16,32,64 on CPU and 64,128,256 on GPU")
ARMS = flags.DEFINE_list("arms", [], "only these arms")
SWEEP = flags.DEFINE_bool("sweep", False, "also vary block sizes, warps and stages of the fastest Triton arm")
BUDGET_S = flags.DEFINE_float("budget_s", 480, "seconds after which no further arm starts")
JSON = flags.DEFINE_string("json", "", "result file (the same as --out)")
OUT = flags.DEFINE_string("out", "", "result file; default kernels_pallas/bench_results/<device>.json")
PEER_PATH = flags.DEFINE_string("mamba_ssm_path", "", "checkout of mamba_ssm to compare with")
PEER_PYTHON = flags.DEFINE_string("peer_python", "", "Python with torch and triton; default: this one")
PEAK_TFLOPS = flags.DEFINE_float("peak_tflops", None, "peak of a device that common/roofline.py does not know")
PEAK_TBS = flags.DEFINE_float("peak_tbs", None, "its memory bandwidth in TB/s")
CHECK_TARGETS = flags.DEFINE_bool("check_targets", False, "fail when a speed target is missed")
UPDATE_TUNED = flags.DEFINE_bool("update_tuned", False, "write the winners into kernels_pallas/tuned.json")
APPEND = flags.DEFINE_bool("append", False, "append the best rows to kernels_pallas/BENCHMARKS.md")


def main(_) -> int:
    logging.set_verbosity(logging.WARNING)
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if DEVICE.value == "cpu":
        os.environ["JAX_PLATFORMS"] = "cpu"
    from kernels_pallas.bench import cli as benchmark

    return benchmark.main({flag.name: flag.value for flag in flags.FLAGS.get_key_flags_for_module(sys.argv[0])})


if __name__ == "__main__":
    cli.run(main)
