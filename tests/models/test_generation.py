"""Sampling: greedy equals the argmax of the whole call, rows do not see each other, filters keep what they say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_hybrid import SIZES, lm, weights

from aira_jax.models.generation import Sampling, generate

PROMPTS = [[5, 9, 200], [7, 1, 3, 4, 9, 30, 2], [11]]
GREEDY = Sampling(temperature=0)


@pytest.fixture(scope="module")
def trained():
    model = lm("Mb-A-M")
    params = weights(model)
    return model, params | {"embedding": 10 * params["embedding"]}  # logits that differ


def test_temperature_zero_takes_the_argmax_of_the_whole_call(trained):
    model, params = trained
    run = jax.jit(model.apply)
    for prompt, made in zip(PROMPTS, generate(model, params, PROMPTS, 6, sampling=GREEDY), strict=True):
        logits_1LV = run(params, jnp.array([prompt + made + [0] * (7 - len(prompt))]))[:, : len(prompt) + 6]
        assert made == logits_1LV[0, len(prompt) - 1 : -1].argmax(-1).tolist()


@pytest.mark.parametrize("sampling", [GREEDY, Sampling(0.8, top_k=50, top_p=0.9)], ids=["greedy", "drawn"])
def test_unequal_prompts_give_what_each_gives_alone(trained, sampling):
    model, params = trained
    together = generate(model, params, PROMPTS, 6, sampling=sampling, seed=3)
    assert together[0] == generate(model, params, PROMPTS[:1], 6, sampling=sampling, seed=3)[0]
    assert [len(made) for made in together] == [6, 6, 6]


def test_filters_leave_the_likeliest_tokens_and_draws_follow_the_distribution():
    logits_BV = jnp.log(jnp.tile(jnp.array([0.5, 0.3, 0.15, 0.05]), (4000, 1)))
    keys_B = jax.random.split(jax.random.key(0), 4000)
    share = np.bincount(Sampling().draw(logits_BV, keys_B), minlength=4) / 4000
    np.testing.assert_allclose(share, [0.5, 0.3, 0.15, 0.05], atol=0.03)
    assert set(np.asarray(Sampling(top_k=2).draw(logits_BV, keys_B))) == {0, 1}
    assert set(np.asarray(Sampling(top_p=0.7).draw(logits_BV, keys_B))) == {0, 1}
    assert set(np.asarray(Sampling(top_p=0.5).draw(logits_BV, keys_B))) == {0}


def test_what_cannot_be_generated_is_refused(trained):
    model, params = trained
    with pytest.raises(ValueError, match="exceed the limit of 8"):
        generate(model, params, PROMPTS, 6, limit=8)
    with pytest.raises(ValueError, match="outside of the vocabulary of 512"):
        generate(model, params, [[SIZES.vocab]], 1)
    with pytest.raises(ValueError, match="at least one prompt"):
        generate(model, params, [[]], 1)
    with pytest.raises(ValueError, match="temperature"):
        Sampling(temperature=-1)
