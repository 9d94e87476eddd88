"""Config files, one per family of experiments: `--config=search:demo` anywhere, or a path and a variant."""
