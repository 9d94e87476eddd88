"""The process that imports a candidate and trains it: `python -m lra.child FD`, started by `lra.supervise`.

Reads one job (a line of JSON) from stdin, writes messages (lines of JSON) to the file descriptor. When stdin ends,
the parent is gone: the run is saved and stops.
"""

import contextlib
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Mapping
from typing import Any, TextIO

from lra import train
from lra.failures import CandidateFault
from lra.job import Job


def main(argv: list[str]) -> int:
    """Returns 0 when the outcome was sent; only a process that is killed, or ends itself, sends none."""
    request = json.loads(sys.stdin.readline())
    job = Job.from_json(request["job"])
    threading.Thread(target=_follow_parent, daemon=True).start()
    with os.fdopen(int(argv[1]), "w", buffering=1) as channel:
        _send(channel, _outcome(job, request["check"], channel))
    return 0


def _outcome(job: Job, check: bool, channel: TextIO) -> dict[str, Any]:
    try:
        if check:
            return {"checked": train.check(job)}
        report = train.run(job, on_row=lambda row: _send(channel, {"row": row}))
        return {"report": report.to_json(), "summary": report.summary()}
    except CandidateFault as fault:
        return {"fault": fault.to_json()}
    except train.Interrupted as interrupted:
        return {"interrupted": str(interrupted)}
    except ValueError as error:
        return {"invalid": str(error)}
    except OSError as error:
        return {"invalid": f"{error}: free space or name another workdir; the same command continues"}
    except Exception:  # noqa: BLE001 - the one place where a defect of ours becomes a message
        return {"defect": traceback.format_exc()}


def _send(channel: TextIO, message: Mapping[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):  # the parent is gone; `_follow_parent` ends the run
        channel.write(json.dumps(message) + "\n")


def _follow_parent() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
