"""An NNX module in the Linen form that the contract asks for."""

import inspect
from typing import Any

import flax.linen as nn
from flax import nnx
from flax.core import FrozenDict


def nnx_adapter(cls: type[nnx.Module]) -> type[nn.Module]:
    """The Linen class that the contract asks for, around an NNX module.

    `cls` is made as cls(**fields, rngs=nnx.Rngs) and called as cls(inputs, train=...); its keyword arguments before
    `rngs` become fields with the same defaults. nnx.Param and nnx.BatchStat become params and batch_stats.
    """
    arguments = [p for p in inspect.signature(cls.__init__).parameters.values() if p.name not in ("self", "rngs")]
    annotations = {p.name: Any if p.annotation is p.empty else p.annotation for p in arguments}
    defaults = {p.name: p.default for p in arguments if p.default is not p.empty}
    required_first = sorted(annotations, key=lambda name: name in defaults)

    def call(self, *inputs, train: bool = False):
        fields = FrozenDict({name: getattr(self, name) for name in annotations})
        inner = nnx.bridge.ToLinen(cls, kwargs=fields, metadata_fn=None, name="nnx")
        return inner(*inputs, train=train)

    body = {
        "__annotations__": {name: annotations[name] for name in required_first},
        "__call__": nn.compact(call),
        "__doc__": cls.__doc__,
        "__module__": cls.__module__,
        **defaults,
    }
    return type(nn.Module)(cls.__name__, (nn.Module,), body)
