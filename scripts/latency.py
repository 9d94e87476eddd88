"""Times one block of each primitive on this device; latency of every published model; front of latency and loss.

python scripts/latency.py --out=latency                                          1B blocks on a CPU
python scripts/latency.py --config=configs/latency.py:gpu --out=latency          on an accelerator
python scripts/latency.py --blocks=latency/blocks.json --pattern='16(A-M)' --out=latency       no timing, only the sums

Writes blocks.json and, at 1B, latency_loss.png, .svg and .csv. See configs/latency.py for what can be chosen.
"""

import dataclasses
import sys
from pathlib import Path

from absl import flags

from aira_jax import cli, config_flag
from aira_jax.choices import member
from aira_jax.compose import dims as dims_lib
from aira_jax.scaling import figures, latency

_CONFIG = config_flag.define(Path(__file__).parents[1] / "configs" / "latency.py")
_OUT = flags.DEFINE_string("out", None, "Folder of the table and the plots.", required=True)
_BLOCKS = flags.DEFINE_string("blocks", None, "A table to read instead of timing.")
_PATTERN = flags.DEFINE_multi_string("pattern", [], "Patterns to sum besides the zoo. May be repeated.")

STEADY = 0.2  # of the median


def main(argv):
    del argv
    out = Path(_OUT.value)
    out.mkdir(parents=True, exist_ok=True)
    table = latency.BlockTable.read(Path(_BLOCKS.value)) if _BLOCKS.value else profiled(_CONFIG.value)
    table.write(out / "blocks.json")
    print(f"{table.device}, {table.scale}, {table.mode}, {table.batch} x {table.length} tokens, {table.dtype}, "
          f"attention {table.attention}")  # fmt: skip
    for name, block in table.blocks.items():
        print(f"{name:3} {block.median_ms:10.3f} ms   ({block.low_ms:.3f} to {block.high_ms:.3f}, {block.runs} runs)")
    if table.spread > STEADY:
        print(f"warning: times vary by up to {table.spread:.0%} between quartiles: leave the machine alone meanwhile",
              file=sys.stderr)  # fmt: skip
    for text in _PATTERN.value:
        print(f"{table.latency_ms(text):10.2f} ms   {text}")
    if table.scale not in dims_lib.SCALES:
        return
    points = latency.published(table)
    best = latency.front(points)
    for point in points:
        loss = "" if point.loss is None else f"published loss {point.loss:.3f}"
        print(f"{point.latency_ms:10.2f} ms   {point.name:26} {loss}{'   on the front' if point in best else ''}")
    if best:
        print(*figures.write(points, table, out), sep="\n")


def profiled(config):
    dims, mode = dims_lib.get(config.scale, config.space), member(latency.Mode, config.mode, "mode")
    own = {name: value for name, value in config.dims.items() if value}
    from aira_jax.primitives.attention import AttentionImpl  # jax is started for timing only
    from aira_jax.scaling import blocks

    return blocks.profile(
        dataclasses.replace(dims, name=f"{dims.name}, own sizes", **own) if own else dims,
        mode=mode,
        attention=member(AttentionImpl, config.attention, "attention"),
        **{name: config[name] for name in ("batch", "length", "ssd", "dtype", "warmup", "runs")},
    )


if __name__ == "__main__":
    cli.run(main)
