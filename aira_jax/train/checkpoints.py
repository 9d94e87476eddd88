"""Checkpoints of a run: the whole state, written by Orbax, the last ones kept.

A checkpoint is complete or absent (Orbax renames a finished folder); one that was damaged later is an error that says
which folder to remove, never skipped in silence.
"""

import contextlib
import enum
from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp


class Saving(enum.StrEnum):
    """SYNC returns when the checkpoint is on disk; ASYNC when the state is copied, and writes beside the updates."""

    SYNC = "sync"
    ASYNC = "async"


class Checkpoints(contextlib.AbstractContextManager):
    """The last `kept` checkpoints below `folder`, named by the number of finished updates."""

    def __init__(self, folder: Path, *, kept: int = 2, saving: Saving = Saving.SYNC):
        self.folder = folder.absolute()
        options = ocp.CheckpointManagerOptions(
            max_to_keep=kept, cleanup_tmp_directories=True, enable_async_checkpointing=saving is Saving.ASYNC
        )
        self._manager = ocp.CheckpointManager(self.folder, options=options)

    @property
    def latest(self) -> int | None:
        """The newest complete step; None when there is none."""
        return self._manager.latest_step()

    def save(self, step: int, state: Any) -> None:
        """Writes the state; does nothing when this step is there already. The state may be donated afterwards."""
        if step != self.latest:
            self._manager.save(step, args=ocp.args.StandardSave(state))

    def wait(self) -> None:
        """Returns when everything that was saved is on disk."""
        self._manager.wait_until_finished()

    def restore(self, like: Any) -> Any:
        """The newest state, in the shapes and placement of `like`. Raises: ValueError naming a damaged folder."""
        step = self.latest
        try:
            return self._manager.restore(step, args=ocp.args.StandardRestore(like))
        except (ValueError, OSError, KeyError, TypeError, EOFError) as error:
            raise ValueError(self._damaged(step, error)) from error

    def _damaged(self, step: int, error: Exception) -> str:
        earlier = [other for other in self._manager.all_steps() if other < step]
        then = f"from update {max(earlier)}" if earlier else "from the start"
        reason = " ".join(str(error).split())[:200]
        return (
            f"checkpoint {self.folder / str(step)} cannot be read ({type(error).__name__}: {reason}). "
            f"Remove that folder and run the same command: it continues {then}"
        )

    def __exit__(self, *error: Any) -> None:
        """Waits for what is being written."""
        self._manager.close()
