"""Measures one architecture on the validation rows and hands it in. Edit ARCHITECTURE, or search over several."""

from pathlib import Path

from aira_jax.tasks import compose_mad

ARCHITECTURE = "8(A-M)"

accuracy = compose_mad.train_and_score(ARCHITECTURE, data_dir="data")
print(f"validation Accuracy: {accuracy:.6f}")
Path("submission.csv").write_text(f"architecture\n{ARCHITECTURE}\n", encoding="utf-8")
