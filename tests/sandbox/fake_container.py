"""What docker and apptainer do with their volumes: an empty root, the mounts of the command line, no network.

`fake_container.py docker|apptainer WORDS...`; the program begins at the word that is this interpreter.
"""

import os
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))
from aira_jax.sandbox import linux

STAGE, OLD = "/dev", "/.old"


def main(words: list[str]) -> None:
    if words[1] == "import":
        sys.exit(0)
    at = words.index(sys.executable)
    volumes = [word.partition("=")[2].split(":") for word in words[:at] if word.startswith(("--volume=", "--bind="))]
    linux.unshare(linux.CLONE_NEWNS, "mount")
    linux.unshare(linux.CLONE_NEWNET, "network")
    linux.unshare(linux.CLONE_NEWPID, "pid")
    if (child := os.fork()) != 0:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    os.setsid()
    linux.mount(None, "/", None, linux.MS_REC | linux.MS_PRIVATE)
    sources = [os.open(here, os.O_PATH) for here, _, _ in volumes]
    devices = {name: os.open(f"/dev/{name}", os.O_PATH) for name in ("null", "zero", "urandom")}
    linux.mount("tmpfs", STAGE, "tmpfs", 0, "mode=755")
    for name in ("proc", "tmp", "dev", OLD[1:]):
        os.mkdir(f"{STAGE}/{name}")
    linux.mount("proc", f"{STAGE}/proc", "proc", 0)
    pairs = [(fd, f"/dev/{name}", "rw") for name, fd in devices.items()]
    pairs += [(fd, there, mode) for fd, (_, there, mode) in zip(sources, volumes, strict=True)]
    for fd, there, mode in pairs:
        target = Path(STAGE + there)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            target.mkdir() if Path(f"/proc/self/fd/{fd}").is_dir() else target.touch()
        linux.bind(fd, str(target), recursive=True)
        if mode == "ro":
            linux.set_mount_attributes(str(target), add=linux.ATTR_RDONLY)
    linux.turn_root(STAGE, OLD)
    linux.unmount(OLD)
    linux.set_mount_attributes("/", add=linux.ATTR_RDONLY)
    os.execv(words[at], words[at:])


if __name__ == "__main__":
    main(sys.argv[1:])
