"""The project's kernels compiled for an H200 that need not be at hand: registers, spills, occupancy, bytes, floors.

    python scripts/h200_kernels.py --shape=3B --json
    python scripts/h200_kernels.py --shape=1B --op=ssd --impl=pallas_triton
    python scripts/h200_kernels.py --shape=1B --record

Needs the extra h200 (`make h200`). Nothing runs and nothing is measured. --json prints one object on the last line.
Exit code 1: a kernel spills, or leaves fewer than two blocks and fewer than eight warps at work.
"""

import dataclasses
import json
import os
import sys

from absl import flags

from aira_jax.core import cli

SHAPE = flags.DEFINE_enum("shape", "1B", ["350M", "1B", "3B"], "scale of the Mamba-2 block; batch 1, 8192 tokens")
OP = flags.DEFINE_list("op", [], "ssd, state_scan, causal_conv1d; default: all")
IMPL = flags.DEFINE_list("impl", [], "pallas_triton, pallas_mosaic_gpu; default: both")
JSON = flags.DEFINE_bool("json", False, "print JSON on the last line instead of tables")
RECORD = flags.DEFINE_bool("record", False, "write the rows into kernels_pallas/h200.json and H200.md")


def main(_) -> int:
    os.environ["JAX_PLATFORMS"] = "cpu"  # no GPU is taken, and the compiler needs none
    from aira_jax.h200 import table

    for flag, known in ((OP, table.KERNEL_OPS), (IMPL, [impl.value for impl in table.IMPLS])):
        for name in flag.value:
            if name not in known:
                raise ValueError(f"--{flag.name}={name}: unknown; one of {', '.join(known)}")
    impls = [impl for impl in table.IMPLS if not IMPL.value or impl.value in IMPL.value]
    found = table.table(SHAPE.value, OP.value or table.KERNEL_OPS, impls)
    if RECORD.value:
        table.record(found)
    faults = found.faults()
    for fault in faults:
        print(fault, file=sys.stderr)
    print(json.dumps(dataclasses.asdict(found)) if JSON.value else table.markdown([found]))
    return 1 if faults else 0


if __name__ == "__main__":
    cli.run(main)
