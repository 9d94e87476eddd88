"""Failure classes: each shipped broken program yields its class; the order of the rules; texts of real errors."""

import dataclasses
import signal
import sys
from pathlib import Path

import pytest

from aira_jax.core.failures import OF_THE_PROGRAM, Failure
from aira_jax.sandbox import make
from aira_jax.sandbox.base import Execution, Job, Limits, Status
from aira_jax.sandbox.failures import Program, classify, final_exception
from aira_jax.sandbox.syntax import syntax_error

BROKEN = Path(__file__).parent / "broken"
FAILED = Execution(Status.FAIL, 1, None, 1.0, 1.0, 0, "", "", 0)
OK = dataclasses.replace(FAILED, status=Status.OK, exit_code=0)


def failed(output: str, **changes) -> Execution:
    return dataclasses.replace(FAILED, head=output, **changes)


def test_a_broken_program_is_shipped_for_each_of_the_eight_classes():
    assert {path.name.split(".")[0] for path in BROKEN.iterdir()} == {str(c) for c in OF_THE_PROGRAM}


@pytest.mark.parametrize("name", [str(c) for c in OF_THE_PROGRAM])
def test_each_broken_program_yields_exactly_its_class(tmp_path, name):
    text = next(BROKEN.glob(f"{name}.*")).read_text()
    running = make().start(
        Job(
            argv=(sys.executable, "main.py"),
            workdir=tmp_path / "w",
            limits=Limits(wall_s=0.5 if name == "timeout" else 20, memory_bytes=200 * 2**20),
            files={"main.py": text},
        )
    )
    running.go()
    execution = running.wait()
    files = {"main.py": text, "model.py": "class Network: pass"}
    assert classify(execution, files=files, program=Program.CANDIDATE) is Failure(name)


def test_syntax_is_found_without_running_anything():
    text = (BROKEN / "syntax.py.txt").read_text()
    assert syntax_error({"a.py": "x = 1", "model.py": text}) == "model.py, line 3: SyntaxError: '(' was never closed"
    assert syntax_error({"notes.txt": text, "a.py": "x = 1"}) is None
    assert "null bytes" in syntax_error({"a.py": "x = 1\0"})
    assert "nested too deeply" in syntax_error({"a.py": "x" + ".y" * 5000})


@pytest.mark.parametrize(
    "execution, expected",
    [
        (failed("", killed_for="wall", status=Status.KILLED), Failure.TIMEOUT),
        (failed("", killed_for="cpu", status=Status.KILLED), Failure.TIMEOUT),
        (failed("", killed_for="memory", status=Status.KILLED), Failure.OOM),
        (failed("", killed_for="processes", status=Status.KILLED), Failure.EXIT),
        (failed("", killed_for="disk", status=Status.KILLED), Failure.EXIT),
        (failed("", killed_for="cancelled", status=Status.KILLED), Failure.INFRA),
        (failed("", status=Status.LOST), Failure.INFRA),
        (failed("", tampered=("data/x",), killed_for="wall"), Failure.TAMPER),
        (failed("", exit_code=None, signal=int(signal.SIGSEGV)), Failure.EXIT),
        (failed("jax.errors.JaxRuntimeError: RESOURCE_EXHAUSTED: Out of memory allocating"), Failure.OOM),
        (failed("terminate called after throwing an instance of 'std::bad_alloc'"), Failure.OOM),
        (failed("ValueError: dot_general requires contracting dimensions to match"), Failure.SHAPE),
        (failed("TypeError: add got incompatible shapes for broadcasting: (2,), (3,)."), Failure.SHAPE),
        (failed("ValueError: could not convert string to float"), Failure.EXIT),
        (failed("TypeError: Model.__init__() got an unexpected keyword argument 'vocab'"), Failure.INTERFACE),
        (failed("TypeError: build() missing 1 required positional argument: 'x'"), Failure.INTERFACE),
        (failed("ImportError: cannot import name 'build' from 'model'"), Failure.IMPORT),
        (failed('  File "m.py", line 3\n    x\nIndentationError: unexpected indent'), Failure.SYNTAX),
        (failed("FloatingPointError: invalid value (nan) encountered in jit(f)"), Failure.NAN),
        (failed("submission.csv row 1: 15 layers, 16 required", exit_code=2), Failure.INTERFACE),
        (failed("AttributeError: module 'numpy' has no attribute 'foo'"), Failure.EXIT),
    ],
)
def test_rules(execution, expected):
    assert classify(execution) is expected


def test_the_last_exception_of_a_chain_counts():
    output = (
        "Traceback (most recent call last):\n  File 'a'\nImportError: no\n\nDuring handling of the above exception, "
        "another exception occurred:\n\nTraceback (most recent call last):\n  File 'b'\nmodel.ShapeError: bad\n"
    )
    assert final_exception(output) == ("ShapeError", "bad")
    assert classify(failed(output)) is Failure.EXIT


def test_an_earlier_rule_wins():
    output = "MemoryError\nModuleNotFoundError: No module named 'x'"
    assert classify(failed(output)) is Failure.OOM
    assert classify(failed(output, killed_for="wall")) is Failure.TIMEOUT
    assert classify(failed(output, killed_for="wall"), {"failure_class": "nan"}) is Failure.NAN


def test_untrusted_results_cannot_blame_the_harness():
    assert classify(failed("x"), {"failure_class": "infra"}, program=Program.FIT) is Failure.EXIT
    assert classify(failed("x"), {"failure_class": "infra"}, program=Program.TRUSTED) is Failure.INFRA
    assert classify(failed("x"), {"failure_class": "no such class"}, program=Program.TRUSTED) is Failure.INFRA


def test_exit_codes_mean_something_only_for_evaluators():
    defect, invalid = failed("KeyError: 'x'"), failed("", exit_code=2)
    assert classify(defect, program=Program.TRUSTED) is Failure.INFRA
    assert classify(defect, program=Program.FIT) is Failure.EXIT
    assert classify(invalid, program=Program.TRUSTED) is Failure.INTERFACE
    assert classify(invalid, program=Program.CANDIDATE) is Failure.EXIT


def test_a_good_execution_has_no_class_unless_its_value_is_not_finite():
    assert classify(OK, {"value": 0.5}) is None
    assert classify(OK) is None
    assert classify(OK, {"value": float("nan")}) is Failure.NAN
    assert classify(OK, artifact_missing=True) is Failure.INTERFACE
    died = failed("ValueError: incompatible shapes for broadcasting: (2,), (3,)")
    assert classify(died, artifact_missing=True, program=Program.CANDIDATE) is Failure.SHAPE


def test_writing_into_read_only_data_is_tampering_and_elsewhere_is_not():
    assert classify(failed("OSError: [Errno 30] Read-only file system: 'data/train/x.npy'")) is Failure.TAMPER
    assert classify(failed("OSError: [Errno 30] Read-only file system: '/tmp/x'")) is Failure.EXIT
