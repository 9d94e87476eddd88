"""HybridLM: sizes, the plan of scans, equality of plans and policies, causality, decoding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aira_jax.compose import dims, zoo
from aira_jax.models.hybrid import HybridLM, Remat, Scan, plan_scan, restack
from aira_jax.patterns import parse
from aira_jax.primitives.block import Large

SIZES = dims.Dims(
    name="test", space=3, target=1, d_model=64, heads=4, kv_heads=2, head_dim=16, mlp_hidden=128, mamba_state=16,
    mamba_head_dim=32, vocab=512,
)  # fmt: skip
MIXED = "2(2Mb-M-A-M)"


def lm(pattern: str = MIXED, **options) -> HybridLM:
    return HybridLM(Large(SIZES, dtype="float32"), parse(pattern).layers, SIZES.vocab, **options)


def tokens(batch: int = 2, length: int = 32) -> jax.Array:
    return jax.random.randint(jax.random.key(1), (batch, length), 0, SIZES.vocab)


def weights(model: HybridLM):
    return jax.jit(model.init)(jax.random.key(0))


def loss(model: HybridLM, params) -> jax.Array:
    logits_BLV = model.apply(params, tokens())
    picked = jnp.take_along_axis(jax.nn.log_softmax(logits_BLV)[:, :-1], tokens()[:, 1:, None], -1)
    return -jnp.mean(picked)


@pytest.mark.parametrize(
    "pattern, traced, segments",
    [
        ("16(A-M)", 2, 1),
        ("13(Mb-M)", 2, 1),
        ("4A-9M-4A-5M-2A-5M", 6, 6),
        ("7(2Mb-M-3A)-2Mb-M", 8, 3),
        ("2(2Mb-3(M-Mb-M-A))", 10, 4),
        (zoo.by_slug("airahybrid_c_str", scale="1B").build.canonical(), 13, 4),
        (zoo.by_slug("airaformer_d_str", scale="1B").build.canonical(), 10, 2),
    ],
)
def test_the_plan_traces_the_fewest_layers_in_the_fewest_segments(pattern, traced, segments):
    layers = parse(pattern).layers
    plan = plan_scan(layers)
    assert (sum(len(segment.unit) for segment in plan), len(plan)) == (traced, segments)
    assert tuple(layer for segment in plan for layer in segment.unit * segment.repeats) == layers


@pytest.mark.parametrize("model", zoo.scaled(), ids=lambda model: f"{model.key} {model.scale}")
def test_every_model_of_the_zoo_has_its_parameters_to_the_last_one(model):
    sizes = dims.get(model.scale, model.space)
    shapes = jax.eval_shape(HybridLM(Large(sizes), model.build.layers, sizes.vocab).init, jax.random.key(0))
    count = sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(shapes))
    assert count == model.params.total


def test_llama_has_the_sizes_of_the_released_models():
    totals = [zoo.by_slug("llama_3_2", scale=scale).params.total for scale in ("350M", "1B", "3B")]
    assert totals == [549_367_296, 1_235_814_400, 3_212_749_824]


def test_the_initial_loss_is_that_of_a_uniform_guess():
    model = lm()
    assert abs(float(jax.jit(lambda p: loss(model, p))(weights(model))) - np.log(SIZES.vocab)) < 0.05


@pytest.mark.parametrize(
    "pattern", ["2(A-M)-A", *(pytest.param(p, marks=pytest.mark.slow) for p in (MIXED, "2A-M-3(Mb-M)-A"))]
)
def test_scanned_and_unrolled_are_one_function(pattern):
    scanned, unrolled = lm(pattern), lm(pattern, scan=Scan.NONE)
    params = weights(scanned)
    moved = restack(params, scanned, unrolled)
    assert jax.tree.all(jax.tree.map(np.array_equal, moved, weights(unrolled)))
    assert jax.tree.all(jax.tree.map(np.array_equal, restack(moved, unrolled, scanned), params))
    (a, da), (b, db) = (
        jax.jit(jax.value_and_grad(lambda p, m=m: loss(m, p)))(p) for m, p in ((scanned, params), (unrolled, moved))
    )
    np.testing.assert_allclose(a, b, rtol=1e-6)
    for left, right in zip(jax.tree.leaves(restack(da, scanned, unrolled)), jax.tree.leaves(db), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-5 * float(jnp.abs(right).max()))


@pytest.mark.slow
@pytest.mark.parametrize("remat", [Remat.NAMES, Remat.BLOCK])
def test_what_is_computed_again_is_computed_again_and_equal(remat):
    plain, chosen = lm("A-Mb-M"), lm("A-Mb-M", remat=remat)
    params = weights(plain)
    (a, da), (b, db) = (jax.jit(jax.value_and_grad(lambda p, m=m: loss(m, p)))(params) for m in (plain, chosen))
    np.testing.assert_allclose(a, b, rtol=1e-6)
    for left, right in zip(jax.tree.leaves(da), jax.tree.leaves(db), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-5 * float(jnp.abs(right).max()))
    text = str(jax.make_jaxpr(jax.grad(lambda p: loss(chosen, p)))(params))
    assert "remat" in text or "checkpoint" in text
    assert "checkpoint[" not in str(jax.make_jaxpr(jax.grad(lambda p: loss(plain, p)))(params))


def test_a_later_token_changes_nothing_before_it():
    model = lm()
    params, run = weights(model), jax.jit(model.apply)
    changed = tokens().at[:, 20].set((tokens()[:, 20] + 1) % SIZES.vocab)
    before, after = run(params, tokens()), run(params, changed)
    np.testing.assert_array_equal(before[:, :20], after[:, :20])
    assert not np.array_equal(before[:, 20], after[:, 20])


@pytest.mark.parametrize("pattern", ["A", "M", "Mb", MIXED])
def test_decoding_equals_the_whole_call(pattern):
    model = lm(pattern)
    params, seen = weights(model), 24
    whole = jax.jit(model.apply)(params, tokens())
    logits, caches = jax.jit(model.prefill)(params, tokens()[:, :seen], model.init_caches(2, 32))
    np.testing.assert_allclose(logits, whole[:, seen - 1], atol=1e-4)
    step = jax.jit(model.step)
    for position in range(seen, 32):
        logits, caches = step(params, tokens()[:, position], caches, jnp.int32(position))
        np.testing.assert_allclose(logits, whole[:, position], atol=1e-4)
        np.testing.assert_array_equal(logits.argmax(-1), whole[:, position].argmax(-1))
