"""Trains and questions the programs that a fit exported. The candidate's code is not here and is never imported.

N rows, C classes.
"""

import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from aira_jax.core.failures import Failure
from aira_jax.core.files import write_json
from aira_jax.tasks.evaluation import Arguments, CandidateError
from aira_jax.tasks.lra import fit, task_data
from aira_jax.tasks.lra.preparing import CORPORA, Task
from aira_jax.tasks.lra.submission import Candidate, blamed
from lra import derivative, diagnostics, model, network, renaming, train
from lra.data import store
from lra.job import Report
from lra.steps import Trained

TOLERANCE = 1e-2  # of a probability: what rounding may change when a row has other neighbours
PROBED = 4  # batches


@dataclasses.dataclass(frozen=True)
class Answers:
    """Logits of the trained model and of the same model at initialisation, and what its training took."""

    logits_NC: np.ndarray
    untrained_NC: np.ndarray
    facts: Mapping[str, Any]


def answers(
    task: Task, arguments: Arguments, candidate: Candidate, *, data: Path, product: Path, folder: Path
) -> Answers:
    """Trains the programs in `product` on the train rows of `data` and answers the rows of a split; writes to `folder`.

    Raises CandidateError for programs that are refused, fail in training, or answer a row by more than the row.
    """
    task_data.check_profile(data, arguments.profile)
    rows = task_data.inputs(data, arguments.split)
    limit_s = arguments.train_limit_s or arguments.time_limit_s
    job = fit.job(task, candidate, arguments, data=data / "train", workdir=folder / fit.RUN, limit_s=limit_s)
    job = dataclasses.replace(job, resume=False)
    curve: list[list[float]] = []
    with blamed():
        programs = _in_secret_names(task, data, network.load(product / fit.PROGRAMS, task.name, job.settings))
        report = train.run(job, on_row=fit.curve_into(curve), network=programs)
        logits_NC = train.predict(report.trained, rows)
        _consistent(report.trained, rows, logits_NC)
        untrained = _untrained(report)
        untrained_NC = untrained.predict(rows)
        gradient_error = _gradient_error(untrained, report.trained, data)
    facts = {**fit.facts(report), "curve": curve}
    facts["extra"]["gradient_error"] = gradient_error
    facts["extra"]["warnings"] += _own_gradient(gradient_error)
    np.save(folder / fit.PREDICTIONS, logits_NC)
    write_json(folder / fit.FIT, facts)
    return Answers(logits_NC, untrained_NC, facts)


def _in_secret_names(task: Task, data: Path, programs: network.Network) -> network.Network:
    """Generated symbols are renamed by what only these rows tell; bytes of texts keep their meaning."""
    if task.name in CORPORA:
        return programs
    return renaming.renamed(programs, task.name, task_data.manifest(data)["train_sha256"])


def _untrained(report: Report) -> Trained:
    programs = report.trained.programs
    state = programs.steps.step.initial()
    return Trained(programs, state.params, state.batch_stats)


def _gradient_error(untrained: Trained, trained: Trained, data: Path) -> float:
    """That of `lra.derivative` for a batch, and between two parameters, which only who sees the train rows can tell."""
    steps, rows = trained.programs.steps, store.open(data / "train").split("train")
    draws = np.random.default_rng(int(task_data.manifest(data)["train_sha256"], 16))
    chosen, share = steps.job.settings, draws.random()
    update = int(draws.integers(chosen.num_train_steps))
    batch = steps.place(rows.batch_at(chosen.random_seed, update, chosen.batch_size, chosen.max_length))
    params = jax.tree.map(lambda a, b: a + (share * (b - a)).astype(a.dtype), untrained.params, trained.params)
    key = jax.random.key(int(draws.integers(2**31)))
    inputs, targets_B = model.inputs_of(batch), batch["targets"]
    return derivative.error(steps.network, params, trained.batch_stats, inputs, targets_B, key)


def _own_gradient(error: float) -> list[str]:
    """Words about a way back that is no derivative: allowed, but a reader of the score should know."""
    if error <= derivative.TOLERATED:
        return []
    text = f"the way back differs from the derivative of the forward pass by {error:.2f} of its slope"
    warning = f"own_gradient: {text}: stop_gradient, a straight-through estimate, or a learning rule of its own"
    print(f"warning: {warning}", file=sys.stderr)
    return [warning]


def _consistent(trained: Trained, rows: store.Split, logits_NC: np.ndarray) -> None:
    """Refuses a model whose answer to a row depends on the call, on the order of the batch or on its neighbours."""
    count = min(len(rows), PROBED * trained.programs.steps.job.settings.batch_size)
    first = np.arange(count)
    again_NC = trained.predict(rows, first)
    same = np.array_equal(again_NC, logits_NC[:count])
    if not same and (on_cpu(trained) or not _change(again_NC, logits_NC[:count]) <= TOLERANCE):
        raise _refused("not_repeatable", "a second call gave the same rows other logits: evaluate without chance")
    for name, order in (("order", first[::-1]), ("neighbours", np.random.default_rng(0).permutation(count))):
        worst = _change(trained.predict(rows, order), logits_NC[order])
        if not worst <= TOLERANCE:  # a change that is not finite is none to accept
            text = f"probabilities of a row change by {worst:.3g} (at most {TOLERANCE}) in a batch with another {name}"
            raise _refused(name, f"{text}: in evaluation each row is answered by itself")


def on_cpu(trained: Trained) -> bool:
    """Where every operation gives the same bits each time; additions by scatter on a GPU do not."""
    return trained.programs.steps.devices[0].platform == "cpu"


def _change(a_NC: np.ndarray, b_NC: np.ndarray) -> float:
    """The largest difference of a probability: no shift and no dead class makes it look small."""
    return float(np.abs(_probabilities(a_NC) - _probabilities(b_NC)).max())


def _probabilities(logits_NC: np.ndarray) -> np.ndarray:
    weights_NC = np.exp(logits_NC.astype(np.float64) - logits_NC.max(axis=1, keepdims=True))
    return weights_NC / weights_NC.sum(axis=1, keepdims=True)


def refuse_parameter_free(answers: Answers, targets_N: np.ndarray, baselines: Mapping[str, float]) -> None:
    """Raises CandidateError where the parameters at initialisation already beat every cheap baseline.

    Such a model computes the answers by rule: what it scores says nothing about learning. Where symbols have secret
    names, a rule that hides behind a parameter which training must open is worth nothing either; elsewhere it is not
    found out.
    """
    correct, rows = int(np.sum(answers.untrained_NC.argmax(axis=1) == targets_N)), len(targets_N)
    level = max(baselines.values(), default=0.0)
    low, _ = diagnostics.wilson(correct, rows)
    if low > level:
        text = f"accuracy {correct / rows:.4f} before any training, above every baseline ({level:.4f})"
        mend = "the answers must come from trained parameters"
        raise _refused("parameter_free", f"{text}: {mend}", untrained_accuracy=correct / rows)


def _refused(kind: str, message: str, **details: Any) -> CandidateError:
    print(f"refused: {kind}", file=sys.stderr)
    return CandidateError(Failure.INTERFACE, f"{kind}: {message}", {"kind": kind, "details": details})
