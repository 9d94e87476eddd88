"""Trained weights as files that others read: Llama in the names of Hugging Face, any pattern in our own.

Both are a folder of model.safetensors and config.json. Kernels of Hugging Face are [out, in], ours [in, out].
"""

import dataclasses
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from aira_jax.core import files
from aira_jax.models.hybrid import HybridLM, Scan, restack
from aira_jax.pretrain import safetensors
from aira_jax.pretrain.restore import Restored
from aira_jax.train.sharding import name_of

WEIGHTS, CONFIG = "model.safetensors", "config.json"
Tensors = Mapping[str, np.ndarray]

_HF_BLOCK = (  # a layer A, then a layer M: our path within the layer -> their name within the block
    {
        "norm/weight": "input_layernorm.weight",
        "layer/query/kernel": "self_attn.q_proj.weight",
        "layer/key/kernel": "self_attn.k_proj.weight",
        "layer/value/kernel": "self_attn.v_proj.weight",
        "layer/out/kernel": "self_attn.o_proj.weight",
    },
    {
        "norm/weight": "post_attention_layernorm.weight",
        "layer/gate/kernel": "mlp.gate_proj.weight",
        "layer/up/kernel": "mlp.up_proj.weight",
        "layer/down/kernel": "mlp.down_proj.weight",
    },
)
_HF_REST = {"embedding": "model.embed_tokens.weight", "norm/weight": "model.norm.weight"}


def write(folder: Path, tensors: Tensors, config: Mapping[str, Any]) -> None:
    """The folder, whole or not at all. Raises ValueError where it exists."""
    if folder.exists():
        raise ValueError(f"{folder} exists: name another --out, or remove it")
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    safetensors.write(partial / WEIGHTS, tensors)
    files.write_json(partial / CONFIG, config)
    os.rename(partial, folder)


def to_aira(found: Restored) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Tensors `layers.7.layer.query.kernel` [in, out], `embedding`, `norm.weight`; a config with pattern and sizes."""
    config = {
        "format": "aira_jax",
        "pattern": found.design.pattern.canonical(),
        "layers": list(found.model.layers),
        "dims": dataclasses.asdict(found.design.dims),
        "length": found.settings.length,
        "step": found.step,
    }
    return {path.replace("/", "."): leaf for path, leaf in _unrolled(found.model, found.params).items()}, config


def from_aira(model: HybridLM, tensors: Tensors) -> Any:
    """The parameters that `to_aira` wrote. Raises ValueError naming tensors that are missing, or of another shape."""
    return _rolled(model, {path: (path.replace("/", "."), _same) for path in _paths(model)}, tensors)


def to_hf(found: Restored) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Tensors and config of a LlamaForCausalLM with tied embeddings. Raises ValueError for other patterns."""
    names = _hf_names(found.model)
    leaves = _unrolled(found.model, found.params)
    return {name: turn(leaves[path]) for path, (name, turn) in names.items()}, _hf_config(found)


def from_hf(model: HybridLM, tensors: Tensors) -> Any:
    """The parameters of a Llama with tied embeddings. Raises ValueError naming tensors that are missing, or of another
    shape."""
    return _rolled(model, _hf_names(model), tensors)


def _hf_config(found: Restored) -> dict[str, Any]:
    dims = found.design.dims
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "attention_bias": False,
        "head_dim": dims.head_dim,
        "hidden_act": "silu",
        "hidden_size": dims.d_model,
        "intermediate_size": dims.mlp_hidden,
        "max_position_embeddings": found.settings.length,
        "mlp_bias": False,
        "num_attention_heads": dims.heads,
        "num_hidden_layers": len(found.model.layers) // 2,
        "num_key_value_heads": dims.kv_heads,
        "rms_norm_eps": 1e-5,
        "rope_theta": 500000.0,
        "tie_word_embeddings": True,
        "torch_dtype": "float32",
        "vocab_size": dims.vocab,
    }


def _hf_names(model: HybridLM) -> dict[str, tuple[str, Any]]:
    """Our path -> (their name, how the weight turns)."""
    names = {path: (name, _same) for path, name in _HF_REST.items()}
    for i, layer in enumerate(model.layers):
        if layer != "AM"[i % 2] or (layer == "A" and i + 1 == len(model.layers)):
            raise ValueError(
                f"layer {i + 1} of {len(model.layers)} is {layer}: a Llama is A-M repeated; "
                "use --to=aira, which writes any pattern"
            )
        for path, name in _HF_BLOCK[i % 2].items():
            turn = np.transpose if path.endswith("kernel") else _same
            names[f"layers/{i}/{path}"] = f"model.layers.{i // 2}.{name}", turn
    return names


def _same(leaf: np.ndarray) -> np.ndarray:
    return leaf


def _alone(model: HybridLM) -> HybridLM:
    return dataclasses.replace(model, scan=Scan.NONE)


def _unrolled(model: HybridLM, params: Any) -> dict[str, np.ndarray]:
    """`layers/7/layer/query/kernel` -> the weight of that layer."""
    leaves = jax.tree_util.tree_leaves_with_path(restack(jax.device_get(params), model, _alone(model)))
    return dict(_layer(name_of(path), np.asarray(leaf)) for path, leaf in leaves)


def _layer(path: str, leaf: Any) -> tuple[str, Any]:
    first, _, rest = path.partition("/")
    if not first.startswith("segment_"):
        return path, leaf
    return f"layers/{first.removeprefix('segment_')}/{rest.removeprefix('layer_0/')}", leaf[0]


def _shapes(model: HybridLM) -> Any:
    return jax.eval_shape(_alone(model).init, jax.random.key(0))


def _paths(model: HybridLM) -> list[str]:
    found = jax.tree_util.tree_leaves_with_path(_shapes(model))
    return [_layer(name_of(path), np.empty(leaf.shape[:1]))[0] for path, leaf in found]


def _rolled(model: HybridLM, names: Mapping[str, tuple[str, Any]], tensors: Tensors) -> Any:
    shapes = _shapes(model)
    wanted = {name for name, _ in names.values()}
    if wanted != set(tensors):
        missing, more = sorted(wanted - set(tensors)), sorted(set(tensors) - wanted)
        raise ValueError(
            f"not the tensors of this model: missing {missing[:3] or 'none'}, unknown {more[:3] or 'none'}"
        )

    def leaf(path: tuple, like: jax.ShapeDtypeStruct) -> np.ndarray:
        stacked = name_of(path).startswith("segment_")
        shape = like.shape[stacked:]
        name, turn = names[_layer(name_of(path), [None])[0]]
        value = turn(np.asarray(tensors[name], like.dtype))
        if value.shape != shape:
            raise ValueError(f"{name} has shape {tensors[name].shape}, this model needs {turn(np.empty(shape)).shape}")
        return value[None] if stacked else value

    return restack(jax.tree_util.tree_map_with_path(leaf, shapes), _alone(model), model)
