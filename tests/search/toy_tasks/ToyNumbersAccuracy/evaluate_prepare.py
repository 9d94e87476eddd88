"""Writes the labels of one split."""

import pathlib
import sys

flags = dict(a[2:].split("=", 1) for a in sys.argv[1:] if "=" in a)
folder = pathlib.Path(flags["agent-data-mount-dir"]) / f"{flags.get('split', 'test')}_with_labels"
folder.mkdir()
(folder / "labels.txt").write_text("secret labels\n")
