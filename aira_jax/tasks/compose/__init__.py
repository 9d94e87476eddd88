"""The Compose tasks: a pattern of primitives, scored by a proxy that trains it.

`folder/` holds the scripts of its task folders, which link to them: copy a folder with `cp -rL`.
"""
