"""Writes a trained model as a folder of model.safetensors and config.json.

    python scripts/export.py --workdir=runs/debug --to=hf --out=exported
    python scripts/export.py --workdir=runs/hybrid --to=aira --out=exported

hf     a LlamaForCausalLM for transformers; the pattern must be A-M repeated
aira   any pattern, in our own names: layers.7.layer.query.kernel [in, out], embedding, norm.weight

Weights are float32. Exit codes: 0 done, 1 defect, 2 bad input.
"""

import logging
from pathlib import Path

from absl import flags

from aira_jax.core import cli

_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
_TO = flags.DEFINE_enum("to", "aira", ["hf", "aira"], "Whose names.")
_OUT = flags.DEFINE_string("out", None, "Folder to write; it must not exist.", required=True)


def main(_):
    from aira_jax.pretrain import export
    from aira_jax.pretrain.restore import restore

    logging.getLogger("absl").setLevel(logging.WARNING)
    found = restore(Path(_WORKDIR.value))
    tensors, config = {"hf": export.to_hf, "aira": export.to_aira}[_TO.value](found)
    export.write(Path(_OUT.value), tensors, config)
    size = sum(value.nbytes for value in tensors.values())
    print(f"{_OUT.value}: {len(tensors)} tensors, {size / 2**20:,.1f} MiB, after update {found.step:,}")


if __name__ == "__main__":
    cli.run(main)
