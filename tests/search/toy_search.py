"""scripts/search.py on the toy task: the real sandbox, the real exit codes. Run by tests as a program of its own."""

import os
import runpy
import sys
from pathlib import Path

from aira_jax.tasks import loader

HERE = Path(__file__).parent
loader.FOLDER = HERE / "toy_tasks"
script = HERE.parents[1] / "scripts" / os.environ.get("TOY_SCRIPT", "search.py")
sys.argv[0] = str(script)
runpy.run_path(str(script), run_name="__main__")
