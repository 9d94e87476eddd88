"""`scripts/stats.py` under its earlier name."""

import importlib.util
import runpy
import sys
import sysconfig
from pathlib import Path

if __name__ == "__main__":
    runpy.run_path(str(Path(__file__).with_name("stats.py")), run_name="__main__")
else:  # scripts see this folder first, and mean Python's own module
    spec = importlib.util.spec_from_file_location(__name__, Path(sysconfig.get_path("stdlib"), "statistics.py"))
    sys.modules[__name__] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[__name__])
