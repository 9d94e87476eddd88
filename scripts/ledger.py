"""Writes the ledger of searches: every pattern with its mean validation score, as a table for the aggregation task.

python scripts/ledger.py --runs=runs --out=ledger.csv
AIRA_JAX_LEDGER=ledger.csv python scripts/search.py --config=configs/search.py:aggregate --workdir=runs

The aggregation task also takes the runs themselves (AIRA_JAX_LEDGER=runs): this table is for keeping and for sharing.
"""

import dataclasses
from pathlib import Path

from absl import flags

from aira_jax.core import cli
from aira_jax.core.files import write_atomically
from aira_jax.runs import ledgers

_RUNS = flags.DEFINE_list("runs", None, "Run directories, or folders that hold some.", required=True)
_OUT = flags.DEFINE_string("out", "ledger.csv", "Where the table is written.")
_PROFILE = flags.DEFINE_string("profile", "", "Fidelity of the scores that count; empty: the only one there is.")
_NOTE = flags.DEFINE_multi_string("note", [], "A line for the top of the table, such as the command of a run.")


def main(_):
    found = ledgers.from_runs(_RUNS.value, _PROFILE.value)
    own = (line for note in _NOTE.value for line in note.splitlines())
    found = dataclasses.replace(found, notes=(*found.notes, *own))
    write_atomically(Path(_OUT.value), found.to_csv().encode())
    print(f"{len(found.lines)} patterns at {found.preset}, best {found.lines[0].accuracy:.4f} {found.lines[0].pattern}")
    print(_OUT.value)


if __name__ == "__main__":
    cli.run(main)
