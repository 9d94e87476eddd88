"""The Long Range Arena tasks (and recall and needle): a model.py, trained and scored by `lra`."""
