"""The allow-list of the disk: which files of the machine a program needs, so that nothing else is mounted for it.

    root = view.needed(("/env/bin/python", "fit.py"), env, extra=[])
    root.binds    ("/env/bin", "/env/lib", "/usr", ...)      mounted read-only over an empty root
    root.links    (("/bin", "usr/bin"), ...)                 made again, so that the paths to them stay valid

An interpreter is its programs and libraries, never the folder around them: a virtual environment may be the project
itself. Of a folder of sources only what Python can import is needed: beside it lie runs, data and keys.
"""

import ast
import dataclasses
import functools
import glob
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store")
DRIVERS = ("/opt/cuda", "/opt/nvidia", "/opt/rocm", "/run/opengl-driver")
DEVICE_FACTS = ("bus", "class", "dev", "devices", "fs/cgroup", "kernel/mm", "module")  # of /sys
SETTINGS = (  # of /etc: how names, users, libraries and time zones are found
    *("alternatives", "group", "host.conf", "hostname", "hosts", "ld.so.cache", "ld.so.conf", "ld.so.conf.d"),
    *("ld.so.preload", "locale.alias", "localtime", "mime.types", "nsswitch.conf", "os-release", "passwd"),
    *("protocols", "services", "timezone"),
)
PREFIX = ("bin", "include", "lib", "lib32", "lib64", "libexec", "nvvm", "pyvenv.cfg", "share", "ssl", "targets")
IMPORTABLE = (".py", ".pyc", ".so", ".typed")
LINKS = 40  # as many as the kernel follows

_MAPPING = re.compile(r"^MAPPING\b[^=\n]*= (\{.*\})$", re.MULTILINE)  # of the module that finds an editable package


@dataclasses.dataclass(frozen=True)
class Root:
    """What is mounted (`binds`, real paths, none below another) and which links lead there (path, target as read)."""

    binds: tuple[str, ...]
    links: tuple[tuple[str, str], ...]


def needed(argv: Sequence[str], env: Mapping[str, str], extra: Iterable[Path] = ()) -> Root:
    """What a program needs besides its work directory, its data and its devices; `extra` is mounted as well.

    Absolute paths in `argv` are taken for scripts, which import from their folder; so do folders of PYTHONPATH.
    Libraries come from LD_LIBRARY_PATH and the loader's own list.
    """
    program = shutil.which(argv[0], path=env.get("PATH")) or argv[0]
    scripts = [os.path.dirname(word) for word in argv[1:] if os.path.isabs(word) and os.path.isfile(word)]
    primitives = [path for path in env.get("AIRA_JAX_PRIMITIVES", "").split(os.pathsep) if os.path.isfile(path)]
    scripts += [os.path.dirname(path) for path in primitives]
    sources = [*scripts, *filter(os.path.isabs, env.get("PYTHONPATH", "").split(os.pathsep)), _project()]
    libraries = [*filter(os.path.isabs, env.get("LD_LIBRARY_PATH", "").split(os.pathsep)), *_loader_folders()]
    wanted = [
        *SYSTEM,
        *DRIVERS,
        *(f"/etc/{name}" for name in SETTINGS),
        *(f"/sys/{name}" for name in DEVICE_FACTS),
        *libraries,
        program,
        *primitives,
        *(path for word in (program, sys.executable) for path in _installed(word)),
        *(path for folder in sources for path in _importable(folder)),
        *(str(path) for path in extra),
    ]
    return _root(wanted)


def _project() -> str:
    return str(Path(__file__).resolve().parents[2])


def _root(wanted: Iterable[str]) -> Root:
    links: dict[str, str] = {}
    real: set[str] = set()
    for path in wanted:
        if os.path.exists(path):
            met, end = _follow(path)
            links |= met
            real.add(end)
    home = Path(os.path.realpath(os.path.expanduser("~")))
    real -= {"/", str(home), *map(str, home.parents)}
    binds = tuple(path for path in sorted(real) if not any(parent in real for parent in map(str, Path(path).parents)))
    return Root(binds, tuple(sorted(links.items())))


def _follow(path: str) -> tuple[dict[str, str], str]:
    """The links on the way to an existing path, each with its target as it is written, and where the way ends."""
    links: dict[str, str] = {}
    place, ahead = "/", [part for part in reversed(path.split("/")) if part]
    while ahead:
        part = ahead.pop()
        if part in (".", ".."):
            place = os.path.dirname(place) if part == ".." else place
            continue
        step = os.path.join(place, part)
        if not os.path.islink(step):
            place = step
            continue
        target = links[step] = os.readlink(step)
        place = "/" if os.path.isabs(target) else place
        ahead += [part for part in reversed(target.split("/")) if part]
        if len(links) > LINKS:
            break
    return links, place


@functools.cache
def _installed(program: str) -> tuple[str, ...]:
    return tuple(_interpreter(program))


def _interpreter(program: str) -> Iterator[str]:
    """Programs and libraries of a Python: of its virtual environment, of the Python behind it, of editable packages."""
    if not os.path.basename(os.path.realpath(program)).startswith("python"):
        return
    yield program
    met, end = _follow(program)
    for binary in (program, *met, end):
        prefix = os.path.dirname(os.path.dirname(binary))
        if prefix in ("/", "/usr") or os.path.basename(os.path.dirname(binary)) != "bin":
            continue
        yield from (os.path.join(prefix, name) for name in PREFIX)
        for packages in glob.glob(os.path.join(glob.escape(prefix), "lib*", "python3*", "site-packages")):
            yield from _elsewhere(packages)


def _elsewhere(packages: str) -> Iterator[str]:
    """What a folder of installed packages refers to: sources of editable packages, files that are links to a store."""
    with os.scandir(packages) as entries:
        found = list(entries)
    for entry in found:
        if entry.is_symlink():
            yield entry.path
        elif entry.name.endswith(".dist-info"):
            record = os.path.join(entry.path, "METADATA")
            if os.path.islink(record):
                yield os.path.dirname(os.path.dirname(os.path.realpath(record)))
        elif entry.name.endswith(".pth"):
            lines = [line.strip() for line in _text(entry.path).splitlines()]
            for folder in (
                os.path.join(packages, line) for line in lines if line and not line.startswith(("#", "import"))
            ):
                yield from _importable(folder)
        elif entry.name.startswith("__editable__") and entry.name.endswith(".py"):
            for mapping in _MAPPING.findall(_text(entry.path)):
                for source in ast.literal_eval(mapping).values():
                    yield from (path for path in (source, f"{source}.py") if os.path.exists(path))


def _importable(folder: str) -> Iterator[str]:
    """Modules and packages in a folder of sources."""
    if not os.path.isdir(folder):
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            package = os.path.exists(os.path.join(entry.path, "__init__.py"))
            if package or (entry.name.endswith(IMPORTABLE) and entry.is_file()):
                yield entry.path


def _loader_folders() -> Iterator[str]:
    """Where the dynamic loader looks besides /usr: drivers and CUDA are often entered there."""
    for path in ("/etc/ld.so.conf", *glob.glob("/etc/ld.so.conf.d/*.conf")):
        yield from (line.strip() for line in _text(path).splitlines() if line.startswith("/"))


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
