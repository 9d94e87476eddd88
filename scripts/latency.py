"""Times one block of each primitive on this device; latency of every published model; front of latency and loss.

python scripts/latency.py --out=latency                                          1B blocks on a CPU
python scripts/latency.py --config=configs/latency.py:gpu --out=latency          on an accelerator
python scripts/latency.py --blocks=latency/blocks.json --pattern='16(A-M)' --out=latency       no timing, only the sums

Writes blocks.json and, at 1B, latency_loss.png, .svg and .csv. See configs/latency.py for what can be chosen.
"""

import sys
from pathlib import Path

from absl import flags

from aira_jax.core import cli, config_flag

_CONFIG = config_flag.define(Path(__file__).parents[1] / "configs" / "latency.py")
_OUT = flags.DEFINE_string("out", None, "Folder of the table and the plots.", required=True)
_BLOCKS = flags.DEFINE_string("blocks", None, "A table to read instead of timing.")
_PATTERN = flags.DEFINE_multi_string("pattern", [], "Patterns to sum besides the zoo. May be repeated.")


def main(_):
    from aira_jax.compose.dims import SCALES
    from aira_jax.scaling import figures, latency, profile, words

    out = _folder(Path(_OUT.value))
    known = _BLOCKS.value and latency.BlockTable.read(Path(_BLOCKS.value))
    table = known or profile.timed(_CONFIG.value, _PATTERN.value)
    table.write(out / "blocks.json")
    print(*words.blocks(table, _PATTERN.value), sep="\n")
    for warning in words.warnings(table):
        print(warning, file=sys.stderr)
    if table.scale in SCALES:
        points = latency.published(table)
        print(*words.models(points), sep="\n")
        if latency.front(points):
            print(*figures.write(points, table, out), sep="\n")


def _folder(out):
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"--out={out}: {error.strerror}; choose another folder") from error
    return out


if __name__ == "__main__":
    cli.run(main)
