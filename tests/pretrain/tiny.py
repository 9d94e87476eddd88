"""A tiny pretraining for tests: 2Mb-M-A-M on random or built-in text.

    python tests/pretrain/tiny.py FOLDER [--key=value ...]      keys as in Settings, e.g. --mesh.fsdp=4 --steps=20

The last line printed is the result, with sha256 of the last parameters.
"""

import hashlib
import json
import sys
from pathlib import Path

import jax
import numpy as np

from aira_jax.configs import pretrain
from aira_jax.pretrain.settings import Settings

BASE = (
    "debug,pattern=2Mb-M-A-M,length=32,batch=8,steps=20,log_every=1,eval_every=10,save_every=10,eval_windows=8,"
    "optimizer.warmup=5,data.tokenizer=byte,model.vocab=512,mesh.min_shard_elements=0"
)


def settings(*options: str) -> Settings:
    return Settings.of(pretrain.get_config(",".join([BASE, *options])))


def digest(tree) -> str:
    content = hashlib.sha256()
    for leaf in jax.tree.leaves(jax.device_get(tree)):
        content.update(np.ascontiguousarray(leaf).tobytes())
    return content.hexdigest()


def main() -> int:
    from aira_jax.pretrain import processes
    from aira_jax.pretrain.train import train

    folder, *options = sys.argv[1:]
    processes.join()
    result = train(settings(*(option.removeprefix("--") for option in options)), Path(folder))
    print(json.dumps(result))
    return {"completed": 0, "preempted": 75, "diverged": 5}[result["status"]]


if __name__ == "__main__":
    sys.exit(main())
