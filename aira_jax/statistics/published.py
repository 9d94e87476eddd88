"""Figures that arXiv 2605.15871 prints, to stand beside ours and never to be mixed with them.

Table 14 is `lra.designs.PUBLISHED`, the ranges of table 13 are `lra.settings.EXPLORED`.
"""

from dataclasses import dataclass

SOURCE = "arXiv 2605.15871"


@dataclass(frozen=True)
class Mean:
    """A mean normalised score as printed. The paper does not say what its plus-minus is."""

    value: float
    plus_minus: float


def _table_4() -> dict[tuple[str, str, str], Mean]:
    columns = [
        (setup, kind) for kind in ("greedy", "one-shot + greedy") for setup in ("non-configurable", "configurable")
    ]
    rows = {
        "listops": ((0.257, 0.054), (0.259, 0.049), (0.154, 0.043), (0.156, 0.041)),
        "text": ((0.199, 0.053), (0.178, 0.064), (0.119, 0.039), (0.107, 0.043)),
        "retrieval": ((0.197, 0.041), (0.179, 0.058), (0.118, 0.033), (0.107, 0.040)),
    }
    return {
        (task, *column): Mean(*cell)
        for task, cells in rows.items()
        for column, cell in zip(columns, cells, strict=True)
    }


TABLE_4 = _table_4()  # (task of lra, setup, kind of agents)
GREEDY_AGENTS, ONE_SHOT_AGENTS = 12, 8  # behind table 4; no one-shot run was valid

_KEYS = (
    *("max_length", "learning_rate", "batch_size", "num_train_steps", "num_layers", "num_heads"),
    *("emb_dim", "qkv_dim", "mlp_dim", "weight_decay", "warmup", "eval_frequency"),
)
DISTINCT = {  # table 13: how many values were tried
    "listops": dict(zip(_KEYS, (8, 18, 10, 32, 9, 7, 12, 11, 11, 6, 18, 9), strict=True)),
    "text": dict(zip(_KEYS, (18, 21, 9, 34, 8, 5, 10, 11, 13, 5, 23, 10), strict=True)),
    "retrieval": dict(zip(_KEYS, (9, 18, 6, 27, 6, 6, 7, 8, 9, 5, 22, 12), strict=True)),
}
VALID_STEPS = {"listops": 3189, "text": 2642, "retrieval": 1706}  # behind table 13
