"""Exported weights are the trained ones, and come back bit for bit."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
import tiny

from aira_jax.models.hybrid import Scan, restack
from aira_jax.pretrain import export, safetensors
from aira_jax.pretrain.restore import Restored, restore
from aira_jax.pretrain.settings import design
from aira_jax.pretrain.train import language_model, train
from aira_jax.primitives.attention import AttentionImpl

ROOT = Path(__file__).parents[2]


def untrained(pattern: str) -> Restored:
    settings = dataclasses.replace(tiny.settings(), model=dataclasses.replace(tiny.settings().model, pattern=pattern))
    chosen = design(settings.model)
    model = language_model(settings, chosen, AttentionImpl.DENSE)
    draws, shapes = np.random.default_rng(0), jax.eval_shape(model.init, jax.random.key(0))
    params = jax.tree.map(lambda leaf: 0.1 * draws.standard_normal(leaf.shape, np.float32), shapes)
    return Restored(settings, chosen, model, params, 0)


def same(a, b) -> bool:
    return all(jax.tree.leaves(jax.tree.map(lambda x, y: np.array_equal(x, y), a, b)))


@pytest.mark.parametrize(
    ("pattern", "there", "back"),
    [("3(A-M)", export.to_hf, export.from_hf), ("2(2Mb-M)-A-M", export.to_aira, export.from_aira)],
)
def test_weights_come_back_bit_for_bit(pattern, there, back, tmp_path):
    found = untrained(pattern)
    export.write(tmp_path / "out", *there(found))
    tensors = safetensors.read(tmp_path / "out" / export.WEIGHTS)
    assert same(back(found.model, tensors), found.params)
    unrolled = dataclasses.replace(found.model, scan=Scan.NONE)
    assert same(back(unrolled, tensors), restack(found.params, found.model, unrolled))
    name, value = next(iter(tensors.items()))
    with pytest.raises(ValueError, match=r"shape"):
        back(found.model, {**tensors, name: value[1:]})
    with pytest.raises(ValueError, match=r"missing"):
        back(found.model, {key: leaf for key, leaf in tensors.items() if key != name})


def test_names_and_shapes_are_those_of_llama():
    tensors, config = export.to_hf(untrained("2(A-M)"))
    assert len(tensors) == 2 * 9 + 2
    assert tensors["model.layers.1.self_attn.k_proj.weight"].shape == (64, 128)
    assert tensors["model.layers.0.mlp.down_proj.weight"].shape == (128, 384)
    assert (config["num_hidden_layers"], config["rope_theta"], config["tie_word_embeddings"]) == (2, 5e5, True)


@pytest.mark.parametrize(("pattern", "layer"), [("A-M-Mb", "layer 3 of 3 is Mb"), ("A-M-A", "layer 3 of 3 is A")])
def test_other_patterns_are_no_llama(pattern, layer):
    with pytest.raises(ValueError, match=rf"{layer}.*--to=aira"):
        export.to_hf(untrained(pattern))


def test_a_file_cut_short_is_refused(tmp_path):
    safetensors.write(tmp_path / "a", {"x": np.arange(8, dtype=np.float32)})
    (tmp_path / "a").write_bytes((tmp_path / "a").read_bytes()[:-4])
    with pytest.raises(ValueError, match="x ends at byte"):
        safetensors.read(tmp_path / "a")


@pytest.mark.slow
def test_the_command_writes_what_was_trained(tmp_path):
    train(tiny.settings("steps=15"), tmp_path / "run", say=lambda line: None)
    command = [
        sys.executable,
        ROOT / "scripts" / "export.py",
        f"--workdir={tmp_path / 'run'}",
        f"--out={tmp_path / 'o'}",
    ]
    for code in (0, 2):  # a folder that exists is not overwritten
        assert subprocess.run(command, cwd=ROOT, capture_output=True, timeout=120).returncode == code
    found = restore(tmp_path / "run")
    assert same(export.from_aira(found.model, safetensors.read(tmp_path / "o" / export.WEIGHTS)), found.params)
    assert json.loads((tmp_path / "o" / export.CONFIG).read_text())["step"] == 15


def test_transformers_computes_the_same_logits(tmp_path):
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    found = untrained("3(A-M)")
    export.write(tmp_path / "out", *export.to_hf(found))
    theirs = transformers.LlamaForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32)
    tokens = np.random.default_rng(0).integers(0, found.model.vocab, (2, 32))
    with torch.no_grad():
        logits = theirs(torch.from_numpy(tokens)).logits.numpy()
    np.testing.assert_allclose(found.model.apply(found.params, tokens), logits, atol=1e-4)
