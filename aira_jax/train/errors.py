"""What ends a training early. Each error carries its facts in `data`, plain JSON values."""

import signal
from typing import Any


class TrainingError(Exception):
    """The training cannot go on as asked."""

    def __init__(self, message: str, **data: Any):
        super().__init__(message)
        self.data = data


class NotFinite(TrainingError):
    """Loss or gradient is not finite. data: update, last_finite_loss, learning_rate."""


class TimeLimit(TrainingError):
    """The limit passed, or is forecast to. data: phase, updates, updates_that_fit, steps_per_s."""


class DoesNotFit(TrainingError):
    """The compiled step needs more memory than there is. data: need_bytes, limit_bytes, fitting_batch (or None)."""


class OutOfMemory(TrainingError):
    """Memory ran out while running."""


class DeviceFailure(TrainingError):
    """The runtime refused a compiled program for another reason."""


class Interrupted(Exception):
    """Signal `number` ended the run after `step` updates, which are saved; the same call continues it."""

    def __init__(self, step: int, number: int):
        super().__init__(f"stopped by {signal.Signals(number).name} after update {step}, which is saved")
        self.step, self.number = step, number
