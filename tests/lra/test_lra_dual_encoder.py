"""Encoders of pairs: one tree for both documents, the features of the head, padding."""

import functools

import jax
import jax.numpy as jnp
import lra_draw as draw
import numpy as np
import pytest

from lra import encoders
from lra.encoders import pairs as dual_encoder

PAPER = {"emb_dim": 128, "num_heads": 4, "num_layers": 4, "qkv_dim": 128, "mlp_dim": 512, "max_len": 4000}
TINY = {"emb_dim": 16, "num_heads": 2, "num_layers": 1, "qkv_dim": 16, "mlp_dim": 24, "max_len": 64}
DIFFERENCE = {"linear": (("head", "Dense_0"), slice(48, 64)), "s5": (("compare",), slice(32, 48))}


def pair_of(name: str, sizes: dict, **options):
    kind = encoders.dual(name)
    declared = {key: value for key, value in sizes.items() if key in kind.__dataclass_fields__}
    return kind(vocab_size=257, num_classes=2, **declared, **options)


def documents(width: int = 32) -> tuple[np.ndarray, np.ndarray]:
    return draw.tokens([width, 20, 7], width, 257), draw.tokens([9, 20, width], width, 257, seed=1)


@pytest.mark.parametrize("interaction, expected", [(None, 1_087_618), ("NLI", 1_218_690)])
def test_the_reference_has_the_published_number_of_parameters(interaction, expected):
    assert draw.parameters(pair_of("transformer", PAPER, interaction=interaction), sequences=2) == expected


@pytest.mark.parametrize("name", list(encoders.DUAL))
def test_both_documents_share_one_encoder(name):
    init = functools.partial(pair_of(name, TINY).init_with_output, draw.RNGS, train=False)
    logits, shapes = jax.eval_shape(init, *documents())
    embeddings = [path for path, _ in jax.tree_util.tree_leaves_with_path(shapes) if path[-1].key == "embedding"]
    assert len(embeddings) == 1
    assert logits.shape == (3, 2)


@pytest.mark.parametrize("name", ["transformer", "s5"])
def test_padding_does_not_change_the_logits(name):
    model, pair = pair_of(name, TINY), documents()
    variables = draw.variables(model, *pair)
    forward = jax.jit(lambda *x: model.apply(variables, *x, train=False))
    longer = [np.pad(x, ((0, 0), (0, 32))) for x in pair]
    short, long = np.asarray(forward(*pair)), np.asarray(forward(*longer))
    assert np.abs(long - short).max() <= 1e-5 * max(1, np.abs(short).max())


def test_swapped_documents_swap_the_first_blocks_and_negate_the_difference():
    e1, e2 = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)
    a1, a2, product, difference = np.split(np.asarray(dual_encoder.features(e1, e2, "NLI")), 4, axis=-1)
    b1, b2, swapped_product, negated = np.split(np.asarray(dual_encoder.features(e2, e1, "NLI")), 4, axis=-1)
    assert (a1 == b2).all()
    assert (a2 == b1).all()
    assert (product == swapped_product).all()
    assert (difference == -negated).all()


@pytest.mark.parametrize("name", list(DIFFERENCE))
def test_identical_documents_have_no_difference(name):
    """A head that sees only e1 - e2 answers the same for every pair of twins, and otherwise for strangers."""
    model = pair_of(name, TINY, **({"interaction": "NLI"} if name == "linear" else {}))
    first, second = documents()
    variables = draw.variables(model, first, second)
    modules, rows = DIFFERENCE[name]
    layer = variables["params"]
    for module in modules:
        layer = layer[module]
    layer["kernel"] = np.where(np.isin(np.arange(64), np.arange(64)[rows])[:, None], layer["kernel"], 0)
    forward = jax.jit(lambda *x: model.apply(variables, *x, train=False))
    twins, strangers = np.asarray(forward(first, first)), np.asarray(forward(first, second))
    assert np.abs(twins - twins[0]).max() <= 1e-6
    assert np.abs(strangers - twins).max() > 1e-4


def test_an_unknown_interaction_is_named():
    with pytest.raises(ValueError, match="interaction = 'nli': choose None or 'NLI'"):
        dual_encoder.features(jnp.ones((1, 2)), jnp.ones((1, 2)), "nli")
