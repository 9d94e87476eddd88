"""The Long Range Arena tasks (and recall and needle): a model.py, trained and scored by `lra`.

`folder/` holds the scripts of its task folders, which link to them: copy a folder with `cp -rL`.
"""
