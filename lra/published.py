"""Sizes that the authors of s5 (arXiv 2208.04933) and mega (arXiv 2209.10655) published, by (encoder, task)."""

PUBLISHED_SIZES: dict[tuple[str, str], dict[str, int]] = {
    ("s5", "listops"): {"emb_dim": 128, "num_layers": 8},
    ("s5", "text"): {"emb_dim": 256, "num_layers": 6},
    ("s5", "retrieval"): {"emb_dim": 128, "num_layers": 6},
    ("mega", "listops"): {"emb_dim": 80, "num_layers": 6, "mlp_dim": 160},
    ("mega", "text"): {"emb_dim": 128, "num_layers": 4, "mlp_dim": 256},
    ("mega", "retrieval"): {"emb_dim": 128, "num_layers": 6, "mlp_dim": 256},
}
