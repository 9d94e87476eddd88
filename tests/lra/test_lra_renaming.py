"""Secret names: the same training up to the names, unknown to who does not know the rows."""

import jax
import jax.numpy as jnp
import numpy as np

from lra import model, network, renaming
from lra.settings import profile, task_info

SETTINGS = profile("listops", "smoke").settings.replace(batch_size=4, max_length=8, emb_dim=8, mlp_dim=16, num_layers=1)


def test_names_are_permutations_that_keep_padding_and_depend_on_the_rows():
    first, again, other = (renaming.renamed(None, "recall", digest * 32) for digest in ("1f", "1f", "20"))
    info = task_info("recall")
    assert first.tokens_V[0] == 0
    assert sorted(first.tokens_V) == list(range(info.vocab))
    assert sorted(first.classes_C) == list(range(info.classes))
    assert np.array_equal(first.tokens_V, again.tokens_V)
    assert not np.array_equal(first.tokens_V, other.tokens_V)
    assert not np.array_equal(first.classes_C, other.classes_C)


def test_the_gradient_of_a_renamed_network_is_that_of_the_network_on_renamed_rows():
    net = network.Linen(model.build(model.named("transformer", "listops"), "listops", SETTINGS), "listops", 8)
    hidden = renaming.renamed(net, "listops", "ab" * 32)
    variables, key = net.initial(jax.random.key(0)), jax.random.key(1)
    tokens_BL = jnp.asarray(np.random.default_rng(0).integers(0, 17, (4, 8)), jnp.int32)
    targets_B = jnp.array([0, 3, 9, 3])
    named, classes_B = (jnp.asarray(hidden.tokens_V)[tokens_BL],), jnp.asarray(hidden.classes_C)[targets_B]
    one = network.gradient(hidden, variables["params"], {}, (tokens_BL,), targets_B, key)
    two = network.gradient(net, variables["params"], {}, named, classes_B, key)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)
    logits_BC = hidden.logits(variables["params"], {}, (tokens_BL,))
    np.testing.assert_array_equal(logits_BC, net.logits(variables["params"], {}, named)[:, hidden.classes_C])
