"""The folder of one execution: made fresh, filled, guarded, and freed of traps afterwards."""

import contextlib
import itertools
import os
import shutil
import stat
import uuid
from pathlib import Path

from aira_jax.sandbox.base import Job, Mount

TMP = ".tmp"
MAX_DEPTH = 32  # of folders that a program may leave behind
_LONGEST = 3_000  # bytes of a path, of the 4,096 that the system can name


def prepare(job: Job) -> Path:
    """Makes and fills the work directory; returns it resolved. Raises ValueError for a job that cannot be laid out."""
    workdir = job.workdir.resolve()
    workdir.mkdir(parents=True, exist_ok=True)
    if any(workdir.iterdir()):
        raise ValueError(f"work directory {workdir} is not empty; every execution needs a fresh one")
    kept = [workdir, *(path.resolve() for path in job.writable)]
    for path in kept:
        path.mkdir(parents=True, exist_ok=True)
    targets = [inside(workdir, mount.target) for mount in job.mounts]
    files = {inside(workdir, name): text for name, text in job.files.items()}
    for path, target in itertools.product([*targets, *files], targets):
        if path is not target and path.is_relative_to(target):
            raise ValueError(
                f"{path} lies inside the mount {target}; mount disjoint folders and keep files out of them"
            )
    for mount, target in zip(job.mounts, targets, strict=True):
        _make_target(mount.source.resolve(), target, kept)
    (workdir / TMP).mkdir()
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return workdir


def _make_target(source: Path, target: Path, kept: list[Path]) -> None:
    if not source.exists():
        raise ValueError(f"job.mounts: {source} does not exist")
    if any(source.is_relative_to(path) for path in kept):
        raise ValueError(f"job.mounts: {source} lies in a directory that the program may write")
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        target.mkdir()
    else:
        target.touch()


def inside(workdir: Path, name: str) -> Path:
    """The path of `name`; ValueError when it is absolute or leaves the work directory."""
    path = Path(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError(f"path {name!r} must be relative and stay in the work directory")
    return workdir / path


def guard(mounts: tuple[Mount, ...]) -> dict[str, tuple]:
    """Takes away write permission where data cannot be mounted read-only, then notes what the files look like."""
    for path in _files(mounts):
        if os.access(path, os.W_OK):
            with contextlib.suppress(PermissionError):  # not ours: then its owner and mode protect it already
                path.chmod(path.stat().st_mode & ~0o222)
    return manifest(mounts)


def manifest(mounts: tuple[Mount, ...]) -> dict[str, tuple]:
    """Path -> (size, mtime, inode) of every file below the mounts."""
    return {str(p): (s.st_size, s.st_mtime_ns, s.st_ino) for p in _files(mounts) for s in [p.stat()]}


def _files(mounts: tuple[Mount, ...]) -> list[Path]:
    everything = [p for mount in mounts for p in (mount.source, *sorted(mount.source.rglob("*")))]
    return [path for path in everything if path.is_file()]


def disarm(workdir: Path) -> None:
    """Removes temporary files, links, pipes, sockets and set-user-id bits that a program left; opens what it closed.

    Folders below level MAX_DEPTH go too. Whoever reads the results, or mounts them beside labels for a trusted program,
    then meets plain files only, in a tree that every walk can follow.
    """
    os.chmod(workdir, 0o700)
    waiting = [(str(workdir), 0)]
    while waiting:
        folder, depth = waiting.pop()
        for entry in _entries(folder):
            kind = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISDIR(kind):
                os.chmod(entry.path, kind | 0o700)
                if depth + 1 >= MAX_DEPTH or len(os.fsencode(entry.path)) > _LONGEST:
                    remove(entry.path)
                else:
                    waiting.append((entry.path, depth + 1))
            elif not stat.S_ISREG(kind):
                os.unlink(entry.path)
            elif kind & (stat.S_ISUID | stat.S_ISGID) or not kind & stat.S_IRUSR:
                os.chmod(entry.path, kind & 0o777 | stat.S_IRUSR)
    shutil.rmtree(workdir / TMP, ignore_errors=True)


def remove(folder: str) -> None:
    """Deletes a folder however deep it is: what lies in it is lifted to its top, so that no path grows long."""
    waiting = [folder]
    while waiting:
        place = waiting.pop()
        for entry in _entries(place):
            if entry.is_dir(follow_symlinks=False):
                os.chmod(entry.path, 0o700)
                waiting.append(os.path.join(os.path.dirname(folder), f".removing-{uuid.uuid4().hex}"))
                os.rename(entry.path, waiting[-1])
            else:
                os.unlink(entry.path)
        os.rmdir(place)


def clear(folder: Path) -> None:
    """As `remove`, as far as it is permitted; nothing is done where the folder is absent."""
    with contextlib.suppress(OSError):
        remove(str(folder))


def _entries(folder: str) -> list[os.DirEntry]:
    with os.scandir(folder) as found:
        return list(found)
