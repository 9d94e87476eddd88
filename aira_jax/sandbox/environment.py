"""What a program sees of the harness's environment, and which secrets of the machine lie outside its reach."""

import os
import pwd
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

INHERITED = re.compile(
    r"PATH|LANG|LD_LIBRARY_PATH|CUDA_VISIBLE_DEVICES|JAX_.*|XLA_.*"
    r"|(OMP|MKL|OPENBLAS|NUMEXPR|VECLIB_MAXIMUM|BLIS|NPROC)(_NUM)?_THREADS|NPROC"
)
SECRET = re.compile(r"key|token|secret|passw|credential", re.IGNORECASE)
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "http_proxy": "http://127.0.0.1:9",
    "https_proxy": "http://127.0.0.1:9",
}
FIXED = {"PYTHONHASHSEED": "0", "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
SYSTEM_SECRETS = ("/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/ssh", "/etc/ssl/private")


def allowed(parent: Mapping[str, str], extra: Mapping[str, str], *, home: Path, tmp: Path) -> dict[str, str]:
    """The program's environment: what the allow-list admits from `parent`, fixed values, then `extra`.

    A name that looks like a secret is dropped wherever it comes from.
    """
    chosen = {name: value for name, value in parent.items() if INHERITED.fullmatch(name)}
    chosen |= {"HOME": str(home), "TMPDIR": str(tmp)} | OFFLINE | FIXED | dict(extra)
    return {name: value for name, value in chosen.items() if not SECRET.search(name)}


def secret_places(needed: Iterable[Path]) -> list[Path]:
    """Dot entries of the home directories (keys, tokens, histories) and the system's secrets.

    An entry that holds something of `needed`, the running interpreter or an importable module stays visible.
    """
    roots = [sys.prefix, sys.base_prefix, os.getcwd(), *sys.path]
    keep = {Path(p).resolve() for p in (*needed, *roots) if str(p)}
    homes = {Path(pwd.getpwuid(os.getuid()).pw_dir), Path.home()} if _has_account() else {Path.home()}
    places = [Path(place) for place in SYSTEM_SECRETS]
    for home in homes:
        if home != Path("/") and os.access(home, os.R_OK | os.X_OK):
            places += [entry for entry in sorted(home.iterdir()) if entry.name.startswith(".")]
    return [place for place in places if place.exists() and not any(k.is_relative_to(place.resolve()) for k in keep)]


def _has_account() -> bool:
    return any(entry.pw_uid == os.getuid() for entry in pwd.getpwall())
