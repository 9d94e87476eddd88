"""prepare.py and evaluate_prepare.py of the aggregation task.

train/       ledger.csv; aggregates.csv, what the published votes elect; manifest.json
validation/  manifest.json (with the seed of its rows where the agent measures itself)
test/        manifest.json
validation_with_labels/, test_with_labels/   manifest.json with the seed of the rows: evaluator only
"""

import argparse
import csv
import hashlib
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aira_jax.core.files import write_json
from aira_jax.proxies import fidelity
from aira_jax.tasks import preparation
from aira_jax.tasks.aggregation import ledger_source, scaled_submission
from aira_jax.tasks.aggregation.scaled_submission import TARGET
from aira_jax.tasks.compose.proxies import PUBLIC_SEED, Mad
from aira_jax.tasks.compose.space import SUBMISSION
from aira_jax.tasks.evaluation import Split
from aira_jax.tasks.manifests import LABELS, MANIFEST

if TYPE_CHECKING:
    from aira_jax.compose.ledger import Ledger

PROFILES = Mad.profiles
FORMAT = 1
LEDGER, AGGREGATES = "ledger.csv", "aggregates.csv"


def prepare(folder: Path, argv: Sequence[str] | None = None) -> int:
    """prepare.py: writes the ledger and what the published votes make of it. `--runs` names runs or a table."""
    arguments, runs = _parsed(argv)
    return preparation.ending(lambda: _write_agent(arguments, ledger_of(folder, arguments.raw, runs)))


def evaluate_prepare(argv: Sequence[str] | None = None) -> int:
    """evaluate_prepare.py: writes the seed of the rows of one split."""
    arguments = preparation.parse(argv, profiles=PROFILES)

    def write() -> None:
        manifest = _manifest(arguments.profile) | {"seed": row_seed(arguments.split)}
        write_json(arguments.mount / LABELS[arguments.split] / MANIFEST, manifest)
        preparation.copy_submission(arguments, SUBMISSION)

    return preparation.ending(write)


def _parsed(argv: Sequence[str] | None) -> tuple[preparation.Arguments, list[str]]:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--runs", default="")
    own, rest = parser.parse_known_args(argv)
    arguments = preparation.parse(rest, profiles=PROFILES)
    return arguments, own.runs.split(",") if own.runs else []


def ledger_of(folder: Path, raw: Path | None = None, runs: Sequence[str] = ()) -> "Ledger":
    """The ledger of --runs, of the environment, of the raw data, or the one that comes with the task."""
    from aira_jax.compose import ledger

    choice = ledger_source.of(list(runs), where="--runs") if runs else ledger_source.choose(raw=raw)
    if choice.runs:
        from aira_jax.runs import ledgers

        return ledgers.from_runs(choice.runs)
    if choice.table is None:
        print(f"{ledger_source.VARIABLE} is not set: ledger: builtin ({folder / LEDGER})", file=sys.stderr)
    return ledger.read(choice.table or folder / LEDGER)


def _write_agent(arguments: preparation.Arguments, ledger: "Ledger") -> None:
    order = list(fidelity.PRESETS)
    preset = ledger.preset.partition(",")[0]
    if preset in order and order.index(preset) > order.index(arguments.profile):
        print(f"the ledger is of {preset}, above the fidelity {arguments.profile} that will score", file=sys.stderr)
    train, manifest = arguments.mount / "train", _manifest(arguments.profile)
    write_json(train / MANIFEST, manifest | {"ledger_preset": ledger.preset, "ledger": list(ledger.notes)})
    (train / LEDGER).write_text(ledger.to_csv(), encoding="utf-8")
    (train / AGGREGATES).write_text(_aggregates(ledger), encoding="utf-8")
    own = {"seed": row_seed(Split.VALIDATION)} if arguments.self_reported else {}
    write_json(arguments.mount / "validation" / MANIFEST, manifest | own)
    write_json(arguments.mount / "test" / MANIFEST, manifest)


def _aggregates(ledger: "Ledger") -> str:
    """Every pattern that the usual votes elect: who elects it, and the rule that brings it closest to the target."""
    from aira_jax.compose import ledger as ledgers

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("architecture", "scaling", "scaled", "in_ledger", "elected_by"))
    for outcome in ledgers.outcomes(ledger):
        best = scaled_submission.closest(outcome.pattern)
        by = "; ".join(f"{selection} {method}" for selection, method in outcome.elected_by)
        writer.writerow((best.base.pretty(), best.scaling, best.scaled.canonical(), outcome.evaluated, by))
    return out.getvalue()


def _manifest(profile: str) -> dict[str, Any]:
    return {"format": FORMAT, "profile": profile, "target_parameters": TARGET}


def row_seed(split: Split) -> int:
    """Of the rows of a split: another one than that of the searches, and none tells another."""
    base = preparation.data_seed(PUBLIC_SEED)
    return int.from_bytes(
        hashlib.sha256(f"aggregation {split} {base}".encode()).digest()[:4]
    )  # legacy generators take 32 bits
