"""The kernels as a library: one import line each, in every order, beside the folders of the same name."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "kernels_pallas" / "README.md"


@pytest.mark.parametrize(
    "program",
    [
        "from kernels_pallas import ssd; import kernels_pallas.ssd.api as api; assert api.ssd is ssd",
        "from kernels_pallas.ssd.api import ssd; import kernels_pallas; assert kernels_pallas.ssd is ssd",
        "import kernels_pallas.state_scan.api as a, kernels_pallas as k; assert k.state_scan is a.state_scan",
        "import kernels_pallas.linear_xent.api as a; import kernels_pallas as k; assert k.linear_xent is a.linear_xent",
        "from kernels_pallas.ssd import support; from kernels_pallas import ssd; assert callable(ssd); support.OP",
    ],
)  # fmt: skip
def test_a_function_and_the_folder_of_its_name_are_both_importable(program):
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_example_of_the_readme_runs():
    (program,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    found = {}
    exec(program, found)
    assert found["y"].shape == (2, 1024, 8, 64)
    assert found["state"].shape == (2, 8, 64, 128)


def test_the_library_tells_its_signatures():
    from kernels_pallas import ssd

    assert list(inspect.signature(ssd).parameters)[:5] == ["x", "dt", "A", "B", "C"]
