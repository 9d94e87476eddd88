"""The ground: what every room needs and no room owns. Imports nothing of the project, and never jax.

choices names that users write | cli, config_flag, config_variants, settings how scripts and configs are read |
files, locks, signals the machine's ways | machine, sources where a number comes from | failures why there is none |
formatting how numbers and foreign text are shown | rng every draw of a search
"""
