"""Designs as submissions: counts, imports, padding, recurrences and attention against plain loops."""

import ast
import functools
import importlib
import re

import jax
import jax.numpy as jnp
import lra_draw as draw
import numpy as np
import pytest

from lra import designs, encoders
from lra.designs.listops_bi_svr import model as bi_svr
from lra.designs.listops_dwconv_bilinattn import model as dwconv
from lra.designs.mega import model as mega
from lra.designs.retrieval_hybrid_local_global import model as hybrid
from lra.designs.retrieval_linattn_bilinear import model as linattn
from lra.designs.s5 import model as s5
from lra.designs.text_bi_ssm import model as bi_ssm
from lra.designs.text_xcta_swiglu import model as xcta

ALLOWED = {"jax", "flax", "numpy", "functools", "math", "typing", "dataclasses"}
TINY = {"emb_dim": 16, "num_heads": 2, "num_layers": 1, "qkv_dim": 16, "mlp_dim": 24, "max_len": 80}
COUNTS = {
    "listops_bi_svr": 10_011_146,
    "listops_dwconv_bilinattn": 3_171_658,
    "text_xcta_swiglu": 26_396_210,
    "text_bi_ssm": 996_482,
    "retrieval_linattn_bilinear": 1_482_882,
    "retrieval_hybrid_local_global": 2_105_666,
}


def build(name: str, **sizes):
    """The class that the contract asks for, with those of `sizes` that it declares; and its number of inputs."""
    module = importlib.import_module(f"lra.designs.{name}.model")
    dual = name.startswith("retrieval")
    kind = module.CustomDualEncoder if dual else module.CustomEncoder
    declared = {field: value for field, value in sizes.items() if field in kind.__dataclass_fields__}
    return kind(vocab_size=17 if name.startswith("listops") else 257, **declared), 1 + dual


@pytest.mark.parametrize("name", list(COUNTS))
def test_a_winning_design_has_its_number_of_parameters(name):
    model, sequences = build(name)
    assert draw.parameters(model, sequences) == COUNTS[name]


@pytest.mark.parametrize("name", list(COUNTS))
def test_the_docstring_states_the_count_and_the_published_score(name):
    text = ast.get_docstring(ast.parse(designs.path(name).read_text()))
    (row,) = [row for row in designs.PUBLISHED if row.design == name]
    assert f"{COUNTS[name]:,} parameters" in text
    assert f"{row.accuracy:.4f} test accuracy" in text
    assert "table 14" in text


@pytest.mark.parametrize("task, expected", [("listops", 187_978), ("text", 1_352_130), ("retrieval", 792_322)])
def test_s5_has_the_size_of_its_paper(task, expected):
    assert draw.parameters(encoders.published("s5", task), 1 + (task == "retrieval")) == expected


def test_sizes_that_nobody_published_are_refused():
    with pytest.raises(ValueError, match="no published sizes of encoder 'lru' for task 'text'"):
        encoders.published("lru", "text")


@pytest.mark.parametrize("name", designs.names())
def test_a_design_imports_only_what_a_candidate_may(name):
    tree = ast.parse(designs.path(name).read_text())
    imported = {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {module.split(".")[0] for module in imported} <= ALLOWED


def test_designs_are_listed_by_task_and_found_by_path():
    assert designs.names("retrieval") == ["retrieval_linattn_bilinear", "retrieval_hybrid_local_global", "s5", "mega"]
    assert all(designs.path(name).is_file() for name in designs.names())
    with pytest.raises(ValueError, match='did you mean "text_bi_ssm"'):
        designs.path("text_bissm")


@functools.cache
def logits_of(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Logits of rows of 40, 17 and 3 tokens, without and with 40 positions of padding behind."""
    model, sequences = build(name, **TINY)
    rows = [draw.tokens([40, 17, 3], 40, seed=seed) for seed in range(sequences)]
    variables = draw.variables(model, *rows)
    forward = jax.jit(lambda *x: model.apply(variables, *x, train=False))
    return np.asarray(forward(*rows)), np.asarray(forward(*(np.pad(x, ((0, 0), (0, 40))) for x in rows)))


ALIKE = ("text_bi_ssm", "retrieval_hybrid_local_global")  # scans and attention as in others


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in ALIKE else n for n in COUNTS])
def test_padding_does_not_change_the_logits(name):
    short, long = logits_of(name)
    assert short.shape == (3, 10 if name.startswith("listops") else 2)
    assert np.abs(short - long).max() <= 1e-5


@pytest.mark.parametrize("module", [bi_svr, bi_ssm])
def test_the_gated_scan_equals_the_recurrence_in_both_directions(module):
    draws = np.random.default_rng(0)
    a, u = draws.uniform(0, 1, (2, 64, 3)), draws.standard_normal((2, 64, 3))
    both = jax.jit(lambda *x: [module.scan(*x), module.scan(*x, reverse=True)])
    for got, order in zip(
        both(a.astype(np.float32), u.astype(np.float32)), (range(64), range(63, -1, -1)), strict=True
    ):
        expected, state = np.zeros(u.shape), np.zeros((2, 3))
        for t in order:
            expected[:, t] = state = a[:, t] * state + u[:, t]
        assert np.abs(got - expected).max() <= 1e-5


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("length", [1, 64, 97])
def test_the_diagonal_scan_equals_the_recurrence(length, reverse):
    draws = np.random.default_rng(0)
    log_a = (-draws.uniform(0.001, 0.5, 3) + 1j * draws.uniform(-3, 3, 3)).astype(np.complex64)
    u = draws.standard_normal((3, 2, length)) + 1j * draws.standard_normal((3, 2, length))
    expected, state = np.zeros_like(u), np.zeros((3, 2))
    for t in range(length)[:: -1 if reverse else 1]:
        expected[..., t] = state = np.exp(log_a.astype(complex))[:, None] * state + u[..., t]
    got = jax.jit(functools.partial(s5.scan, reverse=reverse))(log_a, u.astype(np.complex64))
    assert np.abs(got - expected).max() <= 1e-5 * np.abs(expected).max()


def test_the_diagonal_scan_has_finite_gradients_where_powers_vanish():
    def total(log_a):
        return jnp.square(jnp.abs(s5.scan(log_a, jnp.ones((2, 1, 400), jnp.complex64)))).sum()

    gradient = jax.jit(jax.grad(total))(np.array([-80 + 1j, -1e-3 + 3j], np.complex64))
    assert np.isfinite(gradient).all()


def test_listops_blocks_of_two_start_at_the_published_eigenvalue():
    eigenvalues, _ = s5.hippo(2)
    assert eigenvalues == pytest.approx([-0.5 - 0.75**0.5 * 1j])


def test_hippo_eigenvectors_diagonalise_the_normal_part():
    n = np.arange(8)
    root = np.sqrt(2 * n + 1)
    normal = np.diag(n) - np.tril(np.outer(root, root)) + np.outer(root, root) / 2
    values, vectors = s5.hippo(8)
    assert np.abs(normal @ vectors - vectors * values).max() <= 1e-12
    assert (values.imag < 0).all()
    assert values.real == pytest.approx([-0.5] * 4)


def test_a_linear_recurrent_unit_starts_inside_its_ring():
    inputs = np.ones((1, 4, 8), np.float32), np.ones((1, 4), bool)
    ssm = jax.jit(lambda: s5.Ssm(s5.TEXT, "lru").init(jax.random.key(0), *inputs)["params"])()
    radius = np.exp(-np.exp(ssm["nu"]))
    assert radius.max() <= 0.99
    assert np.square(radius / 0.99).mean() == pytest.approx(0.5, abs=0.1)
    assert np.exp(ssm["theta"]).mean() == pytest.approx(np.pi, abs=0.5)


def test_batch_statistics_leave_padding_out():
    model = s5.CustomEncoder(17, 10, emb_dim=8, num_layers=1)
    inputs = draw.tokens([40, 5], 40)
    variables = draw.variables(model, inputs)
    update = jax.jit(lambda x: model.apply(variables, x, train=True, mutable=["batch_stats"])[1]["batch_stats"])
    short, long = update(inputs), update(np.pad(inputs, ((0, 0), (0, 40))))
    assert all(jax.tree.leaves(jax.tree.map(lambda a, b: np.allclose(a, b, atol=1e-6), short, long)))
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max() > 1e-3, short, variables["batch_stats"])
    assert all(jax.tree.leaves(moved))


def qkv(length: int = 64) -> list[np.ndarray]:
    draws = np.random.default_rng(3)
    return [draws.standard_normal((2, length, 2, 8)).astype(np.float32) for _ in range(3)]


MASK = (np.arange(64) < np.array([64, 23])[:, None])[..., None]


@pytest.mark.parametrize("module", [linattn, hybrid])
def test_linear_attention_equals_explicit_weights(module):
    q, k, v = qkv()
    phi = lambda x: np.where(x > 0, x + 1, np.exp(np.minimum(x, 0))).astype(np.float64)
    weights = np.einsum("blhp,bkhp->bhlk", phi(q), phi(k)) * MASK[:, None, None, :, 0]
    expected = np.einsum("bhlk,bkhp->blhp", weights / weights.sum(-1, keepdims=True), v)
    assert np.abs(jax.jit(module.linear_attention)(q, k, v, MASK) - expected).max() <= 1e-5


@pytest.mark.parametrize("chunk", [16, 100])
def test_chunk_attention_equals_masked_softmax(chunk):
    q, k, v = qkv()
    near = np.arange(64)[:, None] // chunk == np.arange(64) // chunk
    weights = np.exp(np.einsum("blhp,bkhp->bhlk", q.astype(np.float64), k) / 8**0.5)
    weights = weights * near * MASK[:, None, None, :, 0]
    real = np.broadcast_to(MASK[..., None], v.shape)
    expected = np.einsum("bhlk,bkhp->blhp", weights / np.maximum(weights.sum(-1, keepdims=True), 1e-300), v)
    got = np.asarray(jax.jit(hybrid.chunk_attention, static_argnums=4)(q, k, v, MASK, chunk))
    assert np.abs(got - expected)[real].max() <= 1e-5


def mixed(mixer, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mixer after a permutation of positions, and the permutation of the mixer."""
    x = np.random.default_rng(1).standard_normal((1, 32, 16)).astype(np.float32)
    real = np.ones((1, 32, 1), bool)
    variables = draw.variables_of(mixer, x, real)
    forward = jax.jit(lambda x: mixer.apply(variables, x, real))
    return np.asarray(forward(x[:, order])), np.asarray(forward(x))[:, order]


def test_attention_between_features_is_blind_to_the_order_of_positions():
    moved, expected = mixed(xcta.Xcta(16, 2), np.random.default_rng(2).permutation(32))
    assert np.abs(moved - expected).max() <= 1e-5


@pytest.mark.parametrize("mixer", [dwconv.GatedConv(7), bi_svr.BiSvr(16, 2), bi_ssm.BiSsm()])
def test_convolutions_and_scans_see_the_order_of_positions(mixer):
    moved, expected = mixed(mixer, np.random.default_rng(2).permutation(32))
    assert np.abs(moved - expected).max() > 1e-2


@pytest.mark.parametrize("width", [3, 7])
def test_the_depthwise_convolution_equals_numpy_on_masked_input(width):
    x = np.random.default_rng(0).standard_normal((2, 64, 2)).astype(np.float32)
    kernel = np.random.default_rng(1).standard_normal((width, 2)).astype(np.float32)
    params = {"params": {"kernel": kernel, "bias": np.array([0.5, -1], np.float32)}}
    got = np.asarray(jax.jit(dwconv.DepthwiseConv(width).apply)(params, x, MASK))
    for row, feature in [(0, 0), (1, 1)]:
        series = np.convolve(np.pad((x * MASK)[row, :, feature], width // 2), kernel[::-1, feature], "valid")
        assert np.abs(got[row, :, feature] - series - params["params"]["bias"][feature]).max() <= 1e-4


def test_mega_convolves_in_both_directions():
    draws = np.random.default_rng(0)
    x = draws.standard_normal((2, 33, 3)).astype(np.float32)
    ahead, back = draws.standard_normal((2, 3, 33)).astype(np.float32)
    expected = np.zeros_like(x)
    for t in range(33):
        for s in range(33):
            expected[:, t] += ahead[:, t - s] * x[:, s] * (s <= t) + back[:, s - t] * x[:, s] * (s >= t)
    assert np.abs(jax.jit(mega.convolve)(x, ahead, back) - expected).max() <= 1e-4


def test_mega_attends_inside_spans():
    q, k, v = (x[:, :, 0] for x in qkv())
    mask, bias = MASK[..., 0], np.random.default_rng(4).standard_normal((16, 16)).astype(np.float32)
    near = np.arange(64)[:, None] // 16 == np.arange(64) // 16
    weights = np.exp(np.einsum("bqz,bkz->bqk", q, k) / 8**0.5 + np.tile(bias, (4, 4))) * near * mask[:, None]
    expected = weights @ v / np.maximum(weights.sum(-1, keepdims=True), 1e-30)
    got = np.asarray(jax.jit(lambda *x: mega.attend(*x, lambda w: w))(q, k, v, mask, bias))
    assert np.abs(got - expected)[mask].max() <= 1e-5


def test_mega_names_the_length_it_cannot_take():
    model = mega.CustomEncoder(17, emb_dim=8, num_layers=1, mlp_dim=8, max_len=4)
    with pytest.raises(ValueError, match=re.escape("length 8 exceeds max_len 4; raise max_len")):
        draw.parameters(model)


@pytest.mark.parametrize("name", ["listops_bi_svr", "retrieval_hybrid_local_global"])
def test_a_design_names_heads_that_do_not_divide(name):
    model, sequences = build(name, qkv_dim=16, num_heads=3)
    with pytest.raises(ValueError, match="qkv_dim = 16 is no multiple of num_heads = 3"):
        draw.parameters(model, sequences)
