"""The cookbook: every part of it ignores padding, and what should see order sees it.

B batch, L length.
"""

import importlib.util

import jax
import numpy as np
import pytest

from aira_jax.tasks.lra import space
from lra import designs

VALUES = {switch.name: switch for switch in space.SWITCHES}
SIZES = {"vocab_size": 9, "num_classes": 3, "emb_dim": 8, "num_heads": 2, "num_layers": 1, "qkv_dim": 8, "mlp_dim": 8}
CASES = [
    {"MIXER": "scan", "FFN": "gelu", "POOL": "max"},
    {"MIXER": "linear", "CONV_WIDTH": 0, "POSITIONS": "sinusoidal", "GATE": "none"},
    {"MIXER": "chunk", "CHUNK": 4, "CONV_WIDTH": 0, "POSITIONS": "learned", "NORM": "rms"},
    {"MIXER": "features", "FFN": "bilinear", "POOL": "attention"},
    {"MIXER": "conv", "CONV_WIDTH": 7},
]


def built(values, tmp_path, name="CustomEncoder"):
    """The class of the cookbook with the given switches."""
    source = designs.source(designs.COOKBOOK)
    for key, value in values.items():
        source = VALUES[key].put(source, f'"{value}"' if isinstance(value, str) else str(value))
    path = tmp_path / "model.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location("cookbook", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)(**SIZES, max_len=24)


def rows(length):
    return np.random.default_rng(0).integers(1, 9, (2, length))


def padded(x_BL, length):
    return np.pad(x_BL, ((0, 0), (0, length - x_BL.shape[1])))


QUICK = ("linear",)


@pytest.mark.parametrize(
    "values",
    [pytest.param(case, marks=() if case["MIXER"] in QUICK else pytest.mark.slow, id=case["MIXER"]) for case in CASES],
)
def test_padding_changes_nothing_and_order_does(values, tmp_path):
    net, x_BL = built(values, tmp_path), rows(11)
    variables, apply = jax.jit(net.init)(jax.random.key(0), padded(x_BL, 24)), jax.jit(net.apply)
    short, long = apply(variables, padded(x_BL, 14)), apply(variables, padded(x_BL, 24))
    np.testing.assert_allclose(short, long, atol=1e-5)
    assert short.shape == (2, 3)
    swapped = apply(variables, padded(x_BL[:, ::-1], 24))
    assert np.abs(np.asarray(swapped) - np.asarray(long)).max() > 1e-4


@pytest.mark.slow
def test_the_dual_encoder_reads_both_documents_with_one_set_of_parameters(tmp_path):
    net = built({"MIXER": "linear"}, tmp_path, "CustomDualEncoder")
    a_BL, b_BL = rows(9), rows(9)[:, ::-1]
    variables, apply = jax.jit(net.init)(jax.random.key(0), a_BL, b_BL), jax.jit(net.apply)
    assert set(variables["params"]) == {"stack", "Dense_0", "Dense_1"}
    one, other = apply(variables, a_BL, a_BL), apply(variables, a_BL, b_BL)
    assert np.abs(np.asarray(one) - np.asarray(other)).max() > 1e-4
