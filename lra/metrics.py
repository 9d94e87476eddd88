"""Loss and accuracy from logits, on the host.

N rows, C classes.
"""

import numpy as np

from lra.failures import CandidateFault, Kind


def check_finite(logits_NC: np.ndarray, where: str) -> None:
    """Raises CandidateFault (nan) for a logit that is not finite, naming `where`."""
    bad = int(np.sum(~np.isfinite(logits_NC).all(axis=1)))
    if bad:
        mend = "bound what the model divides or exponentiates, or lower LR"
        raise CandidateFault(Kind.NAN, f"{where}: {bad} of {len(logits_NC)} rows have logits not finite: {mend}")


def scores(logits_NC: np.ndarray, targets_N: np.ndarray, where: str) -> tuple[float, float]:
    """(mean cross-entropy, accuracy). Raises: CandidateFault (nan) for a logit that is not finite, naming `where`."""
    check_finite(logits_NC, where)
    shifted_NC = logits_NC.astype(np.float64)
    shifted_NC -= shifted_NC.max(axis=1, keepdims=True)
    log_sums_N = np.log(np.exp(shifted_NC).sum(axis=1))
    losses_N = log_sums_N - np.take_along_axis(shifted_NC, np.asarray(targets_N)[:, None], axis=1)[:, 0]
    return float(losses_N.mean()), float(np.mean(shifted_NC.argmax(axis=1) == targets_N))
