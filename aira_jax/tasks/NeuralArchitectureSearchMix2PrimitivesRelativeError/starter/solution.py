"""Measures the architecture of submission.csv on the validation rows of every proxy. Edit it, or search here."""

from pathlib import Path

from aira_jax.tasks import compose_mix

WEIGHTS = {"mad": 1, "babistories": 1, "dclm": 1}

SUBMISSION = Path("submission.csv")
if not SUBMISSION.exists():
    SUBMISSION.write_text("architecture\n8(A-M)\n", encoding="utf-8")
header, architecture = SUBMISSION.read_text(encoding="utf-8").split("\n", 1)

error = compose_mix.train_and_score(architecture.strip().strip('"'), weights=WEIGHTS, data_dir="data")
print(f"validation RelativeError: {error:.6f}")
