"""Measures one architecture on the validation windows and hands it in. Edit ARCHITECTURE, or search over several."""

from pathlib import Path

from aira_jax.tasks import compose_text

ARCHITECTURE = "8(A-M)"

loss = compose_text.train_and_score(ARCHITECTURE, data_dir="data")
print(f"validation Loss: {loss:.6f}")
Path("submission.csv").write_text(f"architecture\n{ARCHITECTURE}\n", encoding="utf-8")
