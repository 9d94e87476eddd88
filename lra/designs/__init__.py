"""Designs as submissions: one folder each, one self-contained model.py in it, with the score that was published for it.

The six designs are the best that agents found in arXiv 2605.15871 (table 14), written from their descriptions; s5 and
mega are the human baselines. Importing this module imports no array library.
"""

import dataclasses
from pathlib import Path

from aira_jax.core import choices


@dataclasses.dataclass(frozen=True)
class Published:
    """The test accuracy that `source` reports for a design on an LRA task ("listops", "text" or "retrieval").

    `setup` is "configurable" or "non-configurable" for agents' designs, "own recipe" for human baselines.
    """

    design: str
    task: str
    setup: str
    accuracy: float
    found_by: str
    source: str


COOKBOOK = "cookbook"
TABLE_14 = "arXiv 2605.15871, table 14"
S5 = "Smith et al. 2022, arXiv 2208.04933, table 1"
MEGA = "Ma et al. 2022, arXiv 2209.10655, table 2"
PUBLISHED = (
    Published("listops_bi_svr", "listops", "non-configurable", 0.4415, "greedy Gemini 3.1 Pro", TABLE_14),
    Published("listops_dwconv_bilinattn", "listops", "configurable", 0.5050, "greedy Opus 4.6", TABLE_14),
    Published("text_xcta_swiglu", "text", "non-configurable", 0.8400, "greedy Gemini 3 Pro", TABLE_14),
    Published("text_bi_ssm", "text", "configurable", 0.8792, "greedy Gemini 3 Pro", TABLE_14),
    Published("retrieval_linattn_bilinear", "retrieval", "non-configurable", 0.7361, "greedy Opus 4.5", TABLE_14),
    Published("retrieval_hybrid_local_global", "retrieval", "configurable", 0.7943, "greedy Opus 4.6", TABLE_14),
    Published("s5", "listops", "own recipe", 0.6215, "people", S5),
    Published("s5", "text", "own recipe", 0.8931, "people", S5),
    Published("s5", "retrieval", "own recipe", 0.9140, "people", S5),
    Published("mega", "listops", "own recipe", 0.6314, "people", MEGA),
    Published("mega", "text", "own recipe", 0.9043, "people", MEGA),
    Published("mega", "retrieval", "own recipe", 0.9125, "people", MEGA),
)


def names(task: str | None = None) -> list[str]:
    """The designs, in the order of PUBLISHED; only those for `task` when it is given."""
    return list(dict.fromkeys(row.design for row in PUBLISHED if task in (None, row.task)))


def path(name: str) -> Path:
    """The model.py of a design; ValueError with the nearest names otherwise."""
    return Path(__file__).parent / choices.among("design", name, names()) / "model.py"


def source(name: str) -> str:
    """The text of a design's model.py; also of `cookbook`, which nobody published."""
    file = Path(__file__).parent / COOKBOOK / "model.py" if name == COOKBOOK else path(name)
    return file.read_text(encoding="utf-8")


PUBLISHED_SIZES: dict[tuple[str, str], dict[str, int]] = {
    ("s5", "listops"): {"emb_dim": 128, "num_layers": 8},
    ("s5", "text"): {"emb_dim": 256, "num_layers": 6},
    ("s5", "retrieval"): {"emb_dim": 128, "num_layers": 6},
    ("mega", "listops"): {"emb_dim": 80, "num_layers": 6, "mlp_dim": 160},
    ("mega", "text"): {"emb_dim": 128, "num_layers": 4, "mlp_dim": 256},
    ("mega", "retrieval"): {"emb_dim": 128, "num_layers": 6, "mlp_dim": 256},
}
"""Sizes that the authors of s5 (arXiv 2208.04933) and mega (arXiv 2209.10655) published, by (encoder, task)."""
