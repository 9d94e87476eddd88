"""Time of a run: updates per second without compiling, evaluating and saving; what remains; whether it fits a limit."""

import time

from aira_jax.train.errors import TimeLimit

FORECAST_AFTER = 50  # updates
TOLERATED = 1.5  # times the limit


class Clock:
    """Made when the first update is about to start. `total` updates are wanted, `first` of them lie behind already.

    `started` is when the run began (time.perf_counter; None = now), so that compiling counts against the limit.
    """

    def __init__(self, total: int, first: int = 0, limit_s: float | None = None, started: float | None = None):
        self.total, self.first, self.done, self.limit_s = total, first, first, limit_s
        self._loop = time.perf_counter()
        self._started = self._loop if started is None else started
        self._training_s, self._since = 0.0, None

    def go(self) -> None:
        """Updates run from now on."""
        if self._since is None:
            self._since = time.perf_counter()

    def pause(self) -> None:
        """All updates that were started are finished; something else follows."""
        if self._since is not None:
            self._training_s += time.perf_counter() - self._since
            self._since = None

    @property
    def updates(self) -> int:
        """Finished by this process."""
        return self.done - self.first

    @property
    def wall_s(self) -> float:
        return time.perf_counter() - self._started

    @property
    def steps_per_s(self) -> float:
        """Of this process; 0 before its first update."""
        running = 0.0 if self._since is None else time.perf_counter() - self._since
        return self.updates / max(self._training_s + running, 1e-9)

    @property
    def eta_s(self) -> float:
        """Seconds to the last update at the pace so far, evaluations included, compiling not."""
        pace = (time.perf_counter() - self._loop) / max(self.updates, 1)
        return pace * (self.total - self.done)

    @property
    def forecast_due(self) -> bool:
        return self.updates == FORECAST_AFTER

    def check(self) -> None:
        """Raises TimeLimit once the limit is passed, or the forecast exceeds 1.5 times the limit."""
        if self.limit_s is None or self.done >= self.total:
            return
        if self.wall_s > self.limit_s:
            raise self._timeout("limit", f"{self.wall_s:.0f} s have passed")
        whole = self.wall_s + self.eta_s
        if self.forecast_due and whole > TOLERATED * self.limit_s:
            raise self._timeout("forecast", f"the run would take {whole:.0f} s")

    def _timeout(self, phase: str, what: str) -> TimeLimit:
        fit = self.first + int(self.steps_per_s * self.limit_s)
        return TimeLimit(
            f"{what}, the limit is {self.limit_s:g} s (phase {phase}): {self.done} of {self.total} updates done at "
            f"{self.steps_per_s:.3g} updates/s; about {fit} would fit: choose fewer updates or a cheaper model",
            phase=phase,
            updates=self.done,
            updates_that_fit=fit,
            steps_per_s=self.steps_per_s,
        )
