"""What a program sees of the harness's environment, and which secrets of the machine lie outside its reach."""

import os
import pwd
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from aira_jax.core.text import SECRET_NAME

INHERITED = re.compile(  # jax's cache lies where a program may not write
    r"PATH|LANG|LD_LIBRARY_PATH|CUDA_VISIBLE_DEVICES|JAX_(?!\w*CACHE).*|XLA_.*"
    r"|AIRA_JAX_(PRIMITIVES|REUSE_SCORES)|(OMP|MKL|OPENBLAS|NUMEXPR|VECLIB_MAXIMUM|BLIS|NPROC)(_NUM)?_THREADS|NPROC"
)
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "http_proxy": "http://127.0.0.1:9",
    "https_proxy": "http://127.0.0.1:9",
}
FIXED = {
    "PYTHONHASHSEED": "0",
    "PYTHONUNBUFFERED": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONNOUSERSITE": "1",  # HOME is the work directory: its .local would be code of the candidate's
}
SYSTEM_SECRETS = ("/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/ssh", "/etc/ssl/private")


def allowed(parent: Mapping[str, str], extra: Mapping[str, str], *, home: Path, tmp: Path) -> dict[str, str]:
    """The program's environment: what the allow-list admits from `parent`, fixed values, then `extra`.

    A name that looks like a secret is dropped wherever it comes from.
    """
    chosen = {name: value for name, value in parent.items() if INHERITED.fullmatch(name)}
    chosen |= {"HOME": str(home), "TMPDIR": str(tmp)} | OFFLINE | FIXED | dict(extra)
    return {name: value for name, value in chosen.items() if not SECRET_NAME.search(name)}


def secret_places(needed: Iterable[Path]) -> list[Path]:
    """Dot entries of the home directories (keys, tokens, histories) and the system's secrets.

    An entry that holds something of `needed`, the running interpreter or an importable module stays visible. The work
    directory, mounts and writable places need not be named: they are put back over a hidden place.
    """
    roots = [sys.prefix, sys.base_prefix, os.getcwd(), *(p for p in sys.path if p)]
    keep = {os.path.realpath(path) for path in (*needed, *roots)}
    places = [place for place in SYSTEM_SECRETS if os.path.exists(place)]
    for home in _homes():
        places += [entry.path for entry in os.scandir(home) if entry.name.startswith(".")]
    real = sorted(os.path.realpath(place) for place in places)
    return [Path(place) for place in real if not any(k == place or k.startswith(place + "/") for k in keep)]


def _homes() -> set[str]:
    """Home directories of the user that we can read: by $HOME and by the account, which a container may lack."""
    try:
        homes = {os.path.expanduser("~"), pwd.getpwuid(os.getuid()).pw_dir}
    except KeyError:
        homes = {os.path.expanduser("~")}
    return {home for home in homes if home != "/" and os.access(home, os.R_OK | os.X_OK)}
