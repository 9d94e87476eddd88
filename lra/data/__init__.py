"""Data of the long-range tasks, in numpy alone: generators, readers of real text, and one on-disk format.

`lra.data.store.open(folder)` reads what `python scripts/lra_data.py --task=... --out=folder` wrote.
"""
