"""Which ledger the aggregation task is made from: the patterns and scores of earlier searches. No array library here.

AIRA_JAX_LEDGER   run directories or folders that hold some, joined by commas, or one table of scripts/ledger.py; else
                  <raw>/ledger (a folder of runs) or <raw>/ledger.csv; else the table that comes with the task
"""

import dataclasses
import functools
import hashlib
import os
from pathlib import Path

from aira_jax.core.files import sha256

VARIABLE = "AIRA_JAX_LEDGER"
BUILTIN = "builtin"
KIND = "ledger"
LOG = "events.jsonl"


@dataclasses.dataclass(frozen=True)
class Choice:
    """Runs, or one table, or neither: the built-in table."""

    runs: tuple[Path, ...] = ()
    table: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        return self.runs if self.table is None else (self.table,)

    @functools.cached_property
    def fingerprint(self) -> str:
        """Changes when a run goes on or a table changes, wherever they lie."""
        digest = hashlib.sha256(KIND.encode())
        for place in self.files:
            logs = sorted(path for path in place.rglob(LOG)) if place.is_dir() else [place]
            for path in logs:
                digest.update(bytes.fromhex(sha256(path)))
        return digest.hexdigest()

    @property
    def description(self) -> str:
        """Name and digest, for people and records."""
        return f"{', '.join(path.name for path in self.files) or BUILTIN} ({self.fingerprint[:16]})"


def choose(kind: str = KIND, raw: Path | None = None) -> Choice:
    """The ledger. Raises ValueError where AIRA_JAX_LEDGER names nothing."""
    del kind
    named = os.environ.get(VARIABLE)
    if named:
        return of(named.split(","), where=VARIABLE)
    if raw is not None:
        for place in (raw / KIND, raw / f"{KIND}.csv"):
            if place.exists():
                return of([str(place)], where=str(raw))
    return Choice()


def of(places: list[str], *, where: str) -> Choice:
    """The ledger in these places; `where` names in an error who named them."""
    paths = tuple(Path(place.strip()).absolute() for place in places if place.strip())
    if not paths:
        raise ValueError(f"{where}: names nothing; name run directories or a table of scripts/ledger.py")
    for path in paths:
        if not path.exists():
            raise ValueError(f"{where}: {path} does not exist; name run directories or a table of scripts/ledger.py")
    tables = [path for path in paths if path.is_file()]
    if tables and len(paths) > 1:
        raise ValueError(f"{where}: {tables[0]} is a table, which stands alone; name one table, or folders of runs")
    return Choice(table=tables[0]) if tables else Choice(runs=paths)
