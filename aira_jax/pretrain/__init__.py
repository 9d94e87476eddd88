"""Pretraining: a pattern becomes a language model, trained over a mesh of devices, resumable and exportable."""
