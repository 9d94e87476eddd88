"""Programs that want more of an update than one gradient of one loss: each is refused by what its text shows."""

import jax
import pytest

from lra import designs, encoders, model, network, train
from lra.failures import CandidateFault
from lra.job import Job
from lra.settings import profile

SETTINGS = profile("listops", "smoke").settings.replace(batch_size=4, max_length=16, emb_dim=16, mlp_dim=32)
MODEL = """
import flax.linen as nn
import jax
import jax.numpy as jnp


class CustomEncoder(nn.Module):
    vocab_size: int
    num_classes: int

    @nn.compact
    def __call__(self, inputs, *, train: bool = False):
        features = nn.Embed(self.vocab_size, 8)(inputs).mean(1)
        return self.read(features, inputs, train)
"""
DESCENDS_TEN_TIMES = """
    def read(self, features, inputs, train):
        return head(self.param("head", nn.initializers.normal(), (8, self.num_classes)), features)


@jax.custom_vjp
def head(kernel, features):
    return features @ kernel


def backward(residuals, gradient):
    kernel, features = residuals
    targets = jax.nn.softmax(features @ kernel) - gradient * len(gradient)
    loss = lambda k: -(targets * jax.nn.log_softmax(features @ k)).sum()
    ahead = jax.lax.fori_loop(0, 10, lambda _, k: k - jax.grad(loss)(k), kernel)
    return kernel - ahead, gradient @ kernel.T


head.defvjp(lambda kernel, features: (features @ kernel, (kernel, features)), backward)
"""
FOLLOWS_ANOTHER_LOSS = """
    def read(self, features, inputs, train):
        return head(self.param("head", nn.initializers.normal(), (8, self.num_classes)), features)


@jax.custom_vjp
def head(kernel, features):
    return features @ kernel


def backward(residuals, gradient):
    kernel, features = residuals
    return features.T @ gradient + jax.grad(lambda k: jnp.square(features @ k).sum())(kernel), gradient @ kernel.T


head.defvjp(lambda kernel, features: (features @ kernel, (kernel, features)), backward)
"""
TRAINS_IN_ITS_STATISTICS = """
    def read(self, features, inputs, train):
        fast = self.variable("batch_stats", "fast", jnp.zeros, (8, 8))
        learnt = jax.lax.fori_loop(0, 10, lambda _, w: w + features.T @ jnp.tanh(features @ w + 1), fast.value)
        if train:
            fast.value = learnt
        return nn.Dense(self.num_classes)(features @ fast.value)
"""
SQUARES_ITS_STATISTICS = """
    def read(self, features, inputs, train):
        seen = self.variable("batch_stats", "seen", jnp.ones, (8,))
        if train:
            seen.value = seen.value * seen.value + features.mean(0)
            return nn.Dense(self.num_classes)(features)
        return nn.Dense(self.num_classes)(features * seen.value)
"""
KEEPS_ROWS = """
    def read(self, features, inputs, train):
        rows = self.variable("batch_stats", "rows", jnp.zeros, (300, 16))
        if train:
            rows.value = jnp.concatenate([rows.value[4:], inputs.astype(jnp.float32)])
        return nn.Dense(self.num_classes)(features)
"""
AVERAGES = """
    def read(self, features, inputs, train):
        return nn.Dense(self.num_classes)(nn.BatchNorm(use_running_average=not train)(features))
"""


def loaded(folder, source) -> network.Exported:
    (folder / "model.py").write_text(MODEL + source)
    job = Job("listops", folder, str(folder / "model.py"), SETTINGS, "smoke", folder / "run")
    train.export(job, folder / "programs")
    return network.load(folder / "programs", "listops", SETTINGS)


@pytest.mark.parametrize(
    "source, reason",
    [
        (DESCENDS_TEN_TIMES, "nonlinear"),
        (FOLLOWS_ANOTHER_LOSS, "nonlinear"),
        (TRAINS_IN_ITS_STATISTICS, "memory"),
        (SQUARES_ITS_STATISTICS, "memory"),
        (KEEPS_ROWS, "memory"),
    ],
)
def test_what_is_more_than_a_gradient_is_refused_by_name(tmp_path, source, reason):
    with pytest.raises(CandidateFault) as found:
        loaded(tmp_path, source)
    assert (found.value.failure, found.value.details["reason"]) == ("interface", reason)


def test_running_averages_are_no_memory(tmp_path):
    assert loaded(tmp_path, AVERAGES).count == 5


@pytest.mark.slow
@pytest.mark.parametrize("task", ["listops", "text", "retrieval"])
def test_every_shipped_model_is_proved_to_take_one_gradient(tmp_path, task):
    """Shapes say nothing about a proof; kinds of operations do."""
    settings = profile(task, "smoke").settings.replace(batch_size=2, max_length=64)
    made = {name: model.load(designs.path(name), task) for name in designs.names(task)}
    made |= {name: model.named(name, task) for name in encoders.SINGLE if name not in made}
    for name, kind in made.items():
        network.export(model.build(kind, task, settings), task, settings, tmp_path / name)
        assert network.load(tmp_path / name, task, settings).count > 0
        jax.clear_caches()
