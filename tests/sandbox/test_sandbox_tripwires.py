"""The static look at candidate code: what it must name, what it must leave alone."""

import pytest

from aira_jax.sandbox.tripwires import scan


@pytest.mark.parametrize(
    "source, warning",
    [
        ("import subprocess as sp\nsp.run(['ls'])", "uses subprocess"),
        ("from socket import socket", "uses socket"),
        ("import urllib.request", "uses urllib"),
        ("import os\nos.system('ls')", "uses os.system"),
        ("from os import execv", "uses os.exec"),
        ("open('/etc/passwd')", "path outside the work directory ('/etc/passwd')"),
        ("open('../other/x')", "path outside"),
        ("import pathlib\npathlib.Path('~/.ssh')", "path outside"),
        ("x = 'data/test_with_labels/y.npy'", "names 'test_with_labels'"),
        ("x = '--result-file'", "names 'result-file'"),
        ("from lra.data import listops\nlistops.rows", "uses lra.data.listops, which makes the rows of a task"),
    ],
)
def test_it_names(source, warning):
    assert any(warning in line for line in scan({"model.py": source}))


@pytest.mark.parametrize("source", ["f(", "x = 1\0", "-" * 50_000 + "1", "x" + ".y" * 5000])
def test_code_that_cannot_be_parsed_has_no_warnings(source):
    assert scan({"model.py": source}) == []


def test_clocks_count_only_in_exclusive_tasks():
    source = "import time\nfrom datetime import datetime as d\ntime.perf_counter()\nd.now()"
    assert scan({"train.py": source}) == []
    assert scan({"train.py": source}, exclusive=True) == [
        "train.py:3: reads the clock (time.perf_counter)",
        "train.py:4: reads the clock (datetime.datetime.now)",
    ]


def test_it_leaves_ordinary_code_alone():
    source = '''
"""Model. Uses a/b style ratios, see http://example.org/x and ~5 % dropout."""
import os
import jax.numpy as jnp
from .blocks import socket
from flax import linen as nn

class Model(nn.Module):
    def __call__(self, x):
        path = os.path.join("data", "train")
        self.socket = x
        return jnp.einsum("bld,de->ble", x, x) / 2
'''
    assert scan({"model.py": source, "submission.csv": "architecture\n8(A-M)\n"}) == []


def test_places_are_sorted_and_said_once():
    files = {"b.py": "import socket\nsocket.socket(); socket.socket()", "a.txt": "read test_with_labels"}
    assert scan(files) == ["a.txt:1: names 'test_with_labels'", "b.py:1: uses socket", "b.py:2: uses socket"]


def test_a_file_that_does_not_parse_has_no_warnings():
    assert scan({"model.py": "import socket\ndef f(:"}) == []
