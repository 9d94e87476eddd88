"""Measures the architecture of submission.csv on the validation rows. Edit it, or search over several here."""

from pathlib import Path

from aira_jax.patterns import options as layer_options
from aira_jax.tasks import compose_mad

SUBMISSION = Path("submission.csv")
if not SUBMISSION.exists():
    SUBMISSION.write_text("architecture\n8(A-M)\n", encoding="utf-8")
header, architecture = SUBMISSION.read_text(encoding="utf-8").split("\n", 1)

pattern = layer_options.parse(architecture.strip().strip('"'))
accuracy = compose_mad.train_and_score(pattern, data_dir="data")
print(f"validation Accuracy: {accuracy:.6f}")
