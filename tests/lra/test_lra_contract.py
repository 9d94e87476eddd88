"""The contract of model.py: what is accepted, and one bad file per class of failure."""

from pathlib import Path

import jax
import numpy as np
import pytest
from lra_models import GOOD, MINIMAL, SMALL

from lra import contract, examples, model
from lra import globals as lra_globals
from lra.failures import CandidateFault, Kind

HEAD = "import flax.linen as nn\nimport jax.numpy as jnp\n"


def encoder(body: str, fields: str = "", call: str = "self, inputs, *, train: bool = False") -> str:
    lines = [HEAD, "class CustomEncoder(nn.Module):", "    vocab_size: int", "    num_classes: int"]
    lines += [f"    {fields}", "    @nn.compact", f"    def __call__({call}):", f"        {body}"]
    return "\n".join(lines) + "\n"


def started(built):
    """Variables of a model, and a batch for it."""
    variables = jax.jit(lambda key: model.initial(built, "listops", 40, key))(jax.random.key(0))
    return variables, (np.tile(np.arange(40, dtype=np.int32) % 17, (4, 1)),)


def applied(built, variables, inputs, dropout=None):
    call = jax.jit(lambda v, i, k: model.apply(built, v, i, dropout=k))
    return call(variables, inputs, dropout)


DENSE = "return nn.Dense(self.num_classes)(nn.Embed(self.vocab_size, 4)(inputs).mean(1))"


def probed(path, source: str, task: str = "listops", options=None):
    path = path / "model.py"
    path.write_text(source)
    contract.check_source(source, task)
    built = model.build(model.load(path, task), task, SMALL, options)
    return built, model.probe(built, task, SMALL)


@pytest.mark.parametrize(
    "source, kind, words",
    [
        ("class CustomEncoder(:", Kind.SYNTAX, ["line 1, column"]),
        (HEAD + "class CustomEncode(nn.Module): pass", Kind.MISSING_CLASS, ["CustomEncoder", 'mean "CustomEncode"']),
        ("x = 1", Kind.MISSING_CLASS, ["defines no class"]),
        ("class CustomEncoder:\n    pass", Kind.MISSING_CLASS, ["flax.linen.Module", "nnx_adapter"]),
        ("import torch\nclass CustomEncoder: pass", Kind.IMPORT, ["'torch' is missing", "jax", "flax", "line 1"]),
        ("class CustomEncoder: pass\nraise SystemExit(3)", Kind.IMPORT, ["SystemExit", "model.py line 2"]),
        (encoder(DENSE, "depth: int"), Kind.INTERFACE, ["depth", "default"]),
        (encoder(DENSE, call="self, inputs"), Kind.INTERFACE, ["train"]),
        (encoder(DENSE, call="self, inputs, mask, *, train"), Kind.INTERFACE, ["inputs, mask, train"]),
        (encoder(DENSE, call="self, *, train"), Kind.INTERFACE, ["called with (inputs, train=...)"]),
        (
            encoder("self.variable('cache', 'x', lambda: jnp.zeros(1)); " + DENSE),
            Kind.INTERFACE,
            ["collection cache", "batch_stats"],
        ),
        (
            encoder("k = self.make_rng('noise') if train else 0; " + DENSE),
            Kind.INTERFACE,
            ["train=True", "noise"],
        ),
        (
            encoder("x = inputs @ jnp.zeros((3, 3)); return x"),
            Kind.INIT,
            ["model.py line 10", "inputs @ jnp.zeros((3, 3))", "num_classes=10"],
        ),
        (encoder("return nn.Embed(self.vocab_size, self.num_classes)(inputs)"), Kind.SHAPE, ["pool over length"]),
        (encoder("return inputs[:, :10]"), Kind.SHAPE, ["int32[1, 10]", "floating [1, 10]"]),
        (encoder(DENSE.replace("self.num_classes", "7")), Kind.SHAPE, ["float32[1, 7]", "[1, 10]"]),
        (encoder("return nn.Dense(10)(jnp.zeros((1, 4)))"), Kind.SHAPE, ["[1, 10]", "[16, 10]"]),
    ],
)
def test_each_bad_file_gets_its_class_and_a_message_with_the_mend(tmp_path, source, kind, words):
    with pytest.raises(CandidateFault) as found:
        probed(tmp_path, source)
    assert found.value.kind is kind, found.value
    for word in words:
        assert word in found.value.message


def test_a_class_with_vocabulary_and_classes_alone_works_and_deterministic_is_a_keyword(tmp_path):
    built, probe = probed(tmp_path, MINIMAL)
    assert probe.params == 17 * 8 + 8 * 10 + 10
    assert model.mode(built, train=True) == {"deterministic": False}


def test_batch_stats_are_a_collection_and_change_in_training_only(tmp_path):
    built, probe = probed(tmp_path, GOOD)
    assert set(probe.shapes) == {"params", "batch_stats"}
    variables, inputs = started(built)
    _, kept = applied(built, variables, inputs)
    _, moved = applied(built, variables, inputs, jax.random.key(1))
    assert jax.tree.all(jax.tree.map(np.array_equal, kept, variables["batch_stats"]))
    assert not jax.tree.all(jax.tree.map(np.array_equal, moved, variables["batch_stats"]))


def test_a_pool_of_the_classs_own_stands_and_one_without_default_is_cls(tmp_path):
    own, _ = probed(tmp_path, encoder(DENSE, 'classifier_pool: str = "MEAN"'))
    asked, _ = probed(tmp_path, encoder(DENSE, "classifier_pool: str"))
    assert (own.classifier_pool, asked.classifier_pool) == ("MEAN", "CLS")


def test_only_declared_fields_are_passed_and_they_are_the_settings(tmp_path):
    built, _ = probed(tmp_path, encoder(DENSE, "max_len: int = 0; mlp_dim: int = 0; other: float = 0.5"))
    assert (built.max_len, built.mlp_dim, built.other) == (SMALL.max_length, SMALL.mlp_dim, 0.5)


def test_an_option_that_is_no_field_is_the_users_error(tmp_path):
    with pytest.raises(ValueError, match="no field 'depth'"):
        probed(tmp_path, GOOD, options={"depth": 3})


def test_retrieval_needs_the_dual_class_with_two_inputs(tmp_path):
    with pytest.raises(CandidateFault, match="CustomDualEncoder for retrieval; it defines CustomEncoder"):
        contract.check_source(GOOD, "retrieval")
    dual = encoder(DENSE).replace("CustomEncoder", "CustomDualEncoder")
    with pytest.raises(CandidateFault, match=r"called with \(inputs1, inputs2, train=...\)"):
        probed(tmp_path, dual, "retrieval")
    both = dual.replace("self, inputs,", "self, inputs1, inputs2,").replace("(inputs)", "(inputs1 + inputs2)")
    assert probed(tmp_path, both, "retrieval")[1].params == 257 * 4 + 4 * 2 + 2


def test_the_example_keeps_the_contract(tmp_path):
    path = Path(examples.__file__).with_name("text_cnn.py")
    found, warnings = lra_globals.read(path.read_text(), "text", configurable=True)
    assert (found.max_length, found.num_train_steps, warnings) == (400, 1500, [])
    assert probed(tmp_path, path.read_text(), "text")[1].params > 0


NNX = """
from flax import nnx
from lra.contract import nnx_adapter

class Net(nnx.Module):
    def __init__(self, *, vocab_size: int, num_classes: int, emb_dim: int = 8, rngs: nnx.Rngs):
        self.embed = nnx.Embed(vocab_size, emb_dim, rngs=rngs)
        self.norm = nnx.BatchNorm(emb_dim, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.out = nnx.Linear(emb_dim, num_classes, rngs=rngs)

    def __call__(self, inputs, *, train):
        x = self.norm(self.embed(inputs), use_running_average=not train)
        return self.out(self.drop(x.mean(1), deterministic=not train))

CustomEncoder = nnx_adapter(Net)
"""


def test_an_nnx_module_becomes_a_candidate_through_the_adapter(tmp_path):
    built, probe = probed(tmp_path, NNX)
    assert probe.params == 17 * 8 + 2 * 8 + 8 * 10 + 10
    variables, inputs = started(built)
    calm = [applied(built, variables, inputs)[0] for _ in range(2)]
    np.testing.assert_array_equal(*calm)
    (one, moved), (two, _) = (applied(built, variables, inputs, jax.random.key(k)) for k in (1, 2))
    assert not np.array_equal(one, two)
    assert not jax.tree.all(jax.tree.map(np.array_equal, variables["batch_stats"], moved))
