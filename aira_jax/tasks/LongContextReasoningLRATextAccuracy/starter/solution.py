"""Trains model.py on the train rows and measures it on the validation rows. Edit it, or try several models here."""

from aira_jax.tasks import lra_fit

accuracy = lra_fit.train_and_score("text", "model.py", data_dir="data")
print(f"validation Accuracy: {accuracy:.6f}")
