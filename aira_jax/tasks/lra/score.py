"""The stage score of the Long Range Arena tasks: answers of trained programs against labels."""

import dataclasses
import functools
import io
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from aira_jax.core.failures import Failure
from aira_jax.tasks import client
from aira_jax.tasks.evaluation import Arguments, CandidateError, Isolation, Score
from aira_jax.tasks.lra import task_data
from aira_jax.tasks.lra.fit import FIT, MEASURED, PREDICTIONS
from aira_jax.tasks.lra.preparing import Task
from aira_jax.tasks.lra.submission import Candidate

_LARGEST = 1e18


def scored(task: Task, arguments: Arguments, candidate: Candidate, *, data: Path, product: Path, kept: Path) -> Score:
    """Trains the programs that a fit left in `product` and scores their answers; files of the training go to `kept`.

    With isolation=process the fit has trained: its answers are compared, and nothing else of it is believed.
    """
    read = functools.partial(task_data.read_labels, data, profile=arguments.profile, split=arguments.split)
    if arguments.isolation is Isolation.PROCESS:
        labels = read()
        answers_N = _answers(product / PREDICTIONS, len(labels.targets_N), labels.classes)
        return _score(arguments, candidate, labels, answers_N, _believable(client.read_result(product / FIT) or {}))
    from aira_jax.tasks.lra import trainer

    found = trainer.answers(task, arguments, candidate, data=data, product=product, folder=kept)
    labels = read()  # only now: no program of the candidate runs beside them
    trainer.refuse_parameter_free(found, labels.targets_N, labels.baselines)
    return _score(arguments, candidate, labels, found.logits_NC.argmax(axis=1), dict(found.facts))


def _score(
    arguments: Arguments, candidate: Candidate, labels: task_data.Labels, answers_N: np.ndarray, facts: dict[str, Any]
) -> Score:
    correct = int(np.sum(answers_N == labels.targets_N))
    told = facts.pop("extra")
    verdicts = task_data.verdicts(correct, labels)
    print("\n".join(f"{labels.label}, {arguments.split}: {line}" for line in verdicts.values()), file=sys.stderr)
    known = {
        "isolation": arguments.isolation,
        "data": labels.label,
        "surrogate": labels.surrogate,
        "train_rows": labels.train_rows,
        "scored_rows": len(answers_N),
        "settings": dataclasses.asdict(candidate.settings),
        "baselines": dict(labels.baselines),
        "verdicts": verdicts,
        "warnings": list(candidate.warnings),
    }
    return Score(correct / len(answers_N), **facts, extra={"fit": told, **known})


def _answers(path: Path, rows: int, classes: int):
    """The class of each row: int64 [rows]. Raises CandidateError for all but finite float32 logits [rows, classes].

    The header is compared with the one expected, not parsed: a candidate may have written it to claim any size.
    """
    blank = io.BytesIO()
    np.save(blank, np.zeros((rows, classes), np.float32))
    header = blank.getvalue()[: -4 * rows * classes]
    try:
        content = path.read_bytes() if path.stat().st_size == len(blank.getvalue()) else b""
    except OSError as error:
        raise CandidateError(Failure.EXIT, f"the fit left no readable {path.name} ({error})") from error
    if not content.startswith(header):
        expected = f"float32 [{rows}, {classes}] in the order of rows"
        raise CandidateError(Failure.SHAPE, f"{path.name} is not what numpy.save makes of {expected}")
    logits_NC = np.frombuffer(content, np.float32, offset=len(header)).reshape(rows, classes)
    if not np.isfinite(logits_NC).all():
        raise CandidateError(Failure.NAN, f"{path.name} holds logits that are not finite")
    return logits_NC.argmax(axis=1)


def _believable(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a Score that a fit claims, each only if it has the right type and a possible value."""
    extra = facts.get("extra")
    extra = extra if isinstance(extra, dict) else {}
    curve, warnings = facts.get("curve"), extra.get("warnings")
    measured = {key: _amount(extra.get(key)) for key in MEASURED if key in extra}
    told = isinstance(warnings, list) and all(isinstance(text, str) for text in warnings)
    return {
        "train_s": _amount(facts.get("train_s")) or 0.0,
        "device_s": _amount(facts.get("device_s")) or 0.0,
        "n_params": _count(facts.get("n_params")),
        "steps": _count(facts.get("steps")),
        "curve": curve if isinstance(curve, list) and all(map(_is_point, curve)) else [],
        "extra": measured | ({"warnings": warnings} if told else {}),
    }


def _is_point(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and -_LARGEST < value < _LARGEST  # false for NaN


def _amount(value: Any) -> float | None:
    return value if _is_number(value) and value >= 0 else None


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < _LARGEST else None
