"""Prints the answers of a run as a replay file: the same search again, without a model.

python scripts/export_replay.py runs/<task>/<agent>/seed_0/events.jsonl > answers.jsonl
python scripts/search.py --config.llm.backend=replay --config.llm.path=answers.jsonl --workdir=again
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from aira_jax.core import cli
from aira_jax.search import run
from aira_jax.search.engine import calls
from aira_jax.search.log import events

RUN = flags.DEFINE_string("run", None, "Run directory or its events.jsonl; may be given as the only argument.")
OUTPUT = flags.DEFINE_string("output", None, "Where to write (default: standard output).")
flags.DEFINE_alias("out", "output")


def main(argv: Sequence[str]) -> int:
    if not RUN.value:
        raise ValueError("name a run: scripts/export_replay.py W/<task>/<agent>/seed_<k>/events.jsonl")
    path = Path(RUN.value)
    folder = path if path.is_dir() else path.parent
    try:
        lines = [f"{line}\n" for line in calls.replay_lines(events.read(path), events.Blobs(folder / "blobs"))]
    except events.DamagedLog as error:
        print(f"error: {error}", file=sys.stderr)
        return run.Exit.DAMAGED_LOG
    if OUTPUT.value:
        Path(OUTPUT.value).write_text("".join(lines), encoding="utf-8")
    else:
        sys.stdout.writelines(lines)
    return run.Exit.DONE


if __name__ == "__main__":
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        sys.argv[1] = f"--run={sys.argv[1]}"
    cli.run(main)
