"""Block latencies: what is timed, at which sizes, on the device at hand.

    python scripts/latency.py --config=configs/latency.py --out=latency
    python scripts/latency.py --config=configs/latency.py:gpu --config.mode=train --config.length=4096 --out=latency
    python scripts/latency.py --config=configs/latency.py --config.dims.mlp_hidden=4096 --out=latency

cpu    (default) one CPU core or more: 1B blocks on 128 tokens, float32, few repetitions; about a minute.
gpu    one accelerator: 1B blocks on 8,192 tokens, bfloat16, 10 calls to warm up and 50 timed.

The dense attention of this project keeps all L x L scores; a fused attention would be faster and use less memory. Every
table records which implementation was timed.
"""

from ml_collections import config_dict

from aira_jax.core import choices

VARIANTS = {
    "cpu": {"length": 128, "dtype": "float32", "warmup": 1, "runs": 5},
    "gpu": {"length": 8192, "dtype": "bfloat16", "warmup": 10, "runs": 50},
}


def get_config(variant: str = "cpu") -> config_dict.ConfigDict:
    """The config of a variant; ValueError for an unknown one."""
    choices.among("variant of configs/latency.py", variant, VARIANTS)
    return config_dict.ConfigDict(
        {
            "scale": "1B",  # 350M, 1B or 3B
            "space": 3,  # 2 or 3 primitives; at 1B the blocks are the same
            "mode": "forward",  # forward, train (forward and backward), decode (one token after `length`)
            "batch": 1,
            "attention": "dense",  # dense or blocked
            "ssd": "auto",  # implementation of the Mamba-2 scan, see kernels_pallas.ssd
            "dims": {"d_model": 0, "heads": 0, "head_dim": 0, "kv_heads": 0, "mlp_hidden": 0, "mamba_state": 0},
            # sizes of your own; 0: as the scale has them
        }
        | VARIANTS[variant]
    )
