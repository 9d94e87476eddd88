"""The command `aira VERB [--flags]`: every verb is a script of the same name and takes the same flags."""

import ast
import runpy
import sys
from pathlib import Path

from aira_jax.core import choices

COMMANDS = Path(__file__).with_name("commands")
USAGE = 2


def verbs() -> dict[str, str]:
    """Every verb with the first line of what its script says about itself."""
    scripts = sorted(path for path in COMMANDS.glob("*.py") if path.stem != "__init__")
    return {path.stem: ast.get_docstring(ast.parse(path.read_text())).partition("\n")[0] for path in scripts}


def main() -> int:
    """Runs the verb that the command line names, as its script would. Returns the exit code of a bad command line."""
    verb = sys.argv[1] if len(sys.argv) > 1 else "--help"
    known = verbs()
    if verb in ("-h", "--help", "help"):
        print("usage: aira VERB [--flags]; aira VERB --help tells the flags\n")
        print("\n".join(f"  {name:17} {text}" for name, text in known.items()))
        return 0
    if verb not in known:
        print(f"error: {choices.unknown('verb', verb, known)}", file=sys.stderr)
        return USAGE
    del sys.argv[1]
    runpy.run_module(f"aira_jax.commands.{verb}", run_name="__main__", alter_sys=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
