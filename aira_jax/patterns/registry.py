"""One row per primitive: token, name, colour, options, sizes, and where its layer is found. Importable without jax.

A row of your own comes from a file that the variable AIRA_JAX_PRIMITIVES names, so that every process of a search has
it: absolute paths, separated by a colon. Such a file makes rows and registers them:

    from aira_jax.patterns import Primitive, register

    register(Primitive("D", "Decay", "#147a56", layer="decay:Decay", proxy_parameters=.., parameters=.., flops=..))

`layer` names a Flax module "module:Class", or is a function that returns the class, which then imports jax itself.
The class has `small(size, options)` and `large(size)`, which return a layer of a proxy or large model
(`primitives.block.Small`, `Large`), and maps [batch, length, dim] to the same shape; `init_cache` and `step` serve
decoding.
"""

import dataclasses
import functools
import importlib
import importlib.util
import inspect
import math
import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

VARIABLE = "AIRA_JAX_PRIMITIVES"
Value = int | str
Dims = Any  # aira_jax.compose.dims.Dims, which stands above
_TOKEN = re.compile("[A-Z][a-z]*")
_COLOUR = re.compile("#[0-9a-fA-F]{6}")


@dataclasses.dataclass(frozen=True)
class Option:
    """What may be chosen for a layer. `values` begins with the one that holds where nothing is said."""

    key: str
    values: tuple[Value, ...]
    meaning: str

    @property
    def default(self) -> Value:
        return self.values[0]


NORMS = (
    Option("norm", ("layer", "rms", "none"), "LayerNorm, RMSNorm or none"),
    Option("place", ("pre", "post"), "x + layer(norm(x)) or x + norm(layer(x))"),
)
MAX_SHARED = 32  # head * kv: the narrowest proxy model, of width 32, then still has a key head


@dataclasses.dataclass(frozen=True)
class Primitive:
    """A kind of layer. All sizes are those of the layer without its norm.

    `proxy_parameters(options, width)` are numbers that a layer of a proxy learns, `parameters(dims)` those at scale,
    `flops(dims)` its training FLOPs per token at scale. `layer`: see above. `spaces` are the published families of
    models that have it. `choices` are options besides the norm's, `clash(options)` names those that cannot go
    together: (key, problem, fix). `kernels`: its layer runs operators of kernels_pallas.
    """

    token: str
    name: str
    colour: str
    layer: str | Callable[[], type]
    proxy_parameters: Callable[[Mapping[str, Value], int], int]
    parameters: Callable[[Dims], int]
    flops: Callable[[Dims], int]
    choices: tuple[Option, ...] = ()
    aliases: tuple[str, ...] = ()
    spaces: tuple[int, ...] = ()
    clash: Callable[[Mapping[str, Value]], tuple[str, str, str] | None] = lambda options: None
    kernels: bool = False
    file: Path | None = None  # that registered it

    def __post_init__(self):
        if not _TOKEN.fullmatch(self.token):
            raise ValueError(f"primitive {self.token!r}: a token is a capital letter, small ones may follow it")
        if not _COLOUR.fullmatch(self.colour):
            raise ValueError(f"primitive {self.token}: colour {self.colour!r} is none, write it as #147a56")

    @property
    def options(self) -> tuple[Option, ...]:
        """What may be chosen for a layer: its own choices, and its norm."""
        return *self.choices, *NORMS

    @functools.cached_property
    def layer_class(self) -> type:
        """The Flax module; the first access imports jax."""
        if callable(self.layer):
            return self.layer()
        module, _, name = self.layer.partition(":")
        return getattr(importlib.import_module(module), name)

    @property
    def sources(self) -> tuple[Path, ...]:
        """The files outside this package that decide what its layers compute."""
        found = [self.file]
        if callable(self.layer):
            found.append(inspect.getsourcefile(self.layer))
        elif not self.layer.startswith("aira_jax."):
            found.append(getattr(importlib.util.find_spec(self.layer.partition(":")[0]), "origin", None))
        return tuple(Path(file) for file in found if file and Path(file).is_file())


_rows: dict[str, Primitive] = {}
_registering: Path | None = None


def register(primitive: Primitive) -> Primitive:
    """Adds a row. Raises ValueError for a token that another row has."""
    names = {primitive.token, *primitive.aliases}
    taken = names & {name for row in _rows.values() for name in (row.token, *row.aliases)}
    if taken:
        raise ValueError(f"primitive {', '.join(sorted(taken))} exists already: choose another token")
    _rows[primitive.token] = dataclasses.replace(primitive, file=primitive.file or _registering)
    return _rows[primitive.token]


def tokens() -> tuple[str, ...]:
    """All tokens, in the order in which they were registered."""
    return tuple(_rows)


def get(token: str) -> Primitive:
    """The row of a token; KeyError for an unknown one."""
    return _rows[token]


def spellings() -> dict[str, str]:
    """Every way to write a token -> the token; the longest first."""
    written = {name: row.token for row in _rows.values() for name in (row.token, *row.aliases)}
    return dict(sorted(written.items(), key=lambda item: -len(item[0])))


def modules() -> tuple[str, ...]:
    """The modules of this package that hold layers."""
    named = [row.layer.partition(":")[0] for row in _rows.values() if isinstance(row.layer, str)]
    return tuple(name for name in named if name.startswith("aira_jax."))


def own_files() -> tuple[Path, ...]:
    """Files outside this package that decide what layers compute."""
    return tuple(dict.fromkeys(file for row in _rows.values() for file in row.sources))


def _projections(dims: Dims) -> int:
    return 2 * dims.d_model * (dims.query_dim + dims.kv_dim)


def _attention_clash(options: Mapping[str, Value]) -> tuple[str, str, str] | None:
    if options["head"] * options["kv"] <= MAX_SHARED:
        return None
    return "kv", f"head * kv above {MAX_SHARED}", f"use kv={MAX_SHARED // options['head']} or a smaller head"


def _mamba_in(dims: Dims) -> int:
    """Output width of Mamba-2's input projection: gate and x, B and C, one step size per head."""
    return 2 * dims.d_inner + 2 * dims.mamba_state + dims.mamba_heads


def _small_mamba(options: Mapping[str, Value], width: int) -> int:
    inner, state = options["expand"] * width, options["state"]
    heads = inner // math.gcd(64, inner)
    return width * (3 * inner + 2 * state + heads) + 5 * (inner + 2 * state) + 3 * heads + inner


def _mamba_parameters(dims: Dims) -> int:
    d, inner = dims.d_model, dims.d_inner
    return d * _mamba_in(dims) + (dims.conv_width + 1) * dims.conv_channels + 3 * dims.mamba_heads + inner + inner * d


def _mamba_flops(dims: Dims) -> int:
    d, inner = dims.d_model, dims.d_inner
    mixing = 6 * dims.conv_width * dims.conv_channels + 12 * inner * dims.mamba_state
    return 6 * d * _mamba_in(dims) + mixing + 6 * inner * d


register(
    Primitive(
        "A",
        "attention",
        "#2456c8",
        layer="aira_jax.primitives.attention:Attention",
        proxy_parameters=lambda o, d: 2 * (d * d + d) + 2 * (d * d + d) // o["kv"],
        parameters=_projections,
        flops=lambda dims: 6 * _projections(dims) + 12 * dims.seq_len * dims.query_dim,
        choices=(
            Option("head", (8, 4, 16, 32), "dims of a head; there are width / head heads"),
            Option("kv", (1, 2, 4), "query heads that share one key and value head"),
        ),
        aliases=("mA",),
        spaces=(2, 3),
        clash=_attention_clash,
    )
)
register(
    Primitive(
        "M",
        "MLP",
        "#c77700",
        layer="aira_jax.primitives.mlp:MLP",
        proxy_parameters=lambda o, d: (3 if o["act"] == "swiglu" else 2) * o["ratio"] * d * d,
        parameters=lambda dims: 3 * dims.d_model * dims.mlp_hidden,
        flops=lambda dims: 18 * dims.d_model * dims.mlp_hidden,
        choices=(
            Option("ratio", (4, 1, 2, 8), "hidden width in units of the model width"),
            Option("act", ("relu", "gelu-tanh", "swiglu"), "activation; swiglu has a third matrix"),
        ),
        spaces=(2, 3),
    )
)
register(
    Primitive(
        "Mb",
        "Mamba-2",
        "#7b3fb0",
        layer="aira_jax.primitives.mamba2:Mamba2",
        proxy_parameters=_small_mamba,
        parameters=_mamba_parameters,
        flops=_mamba_flops,
        choices=(
            Option("expand", (2, 1, 4), "inner width in units of the model width"),
            Option("state", (16, 8, 32, 64), "state dims"),
        ),
        spaces=(3,),
        kernels=True,
    )
)


def load(listed: str) -> None:
    """Runs the files of a list as AIRA_JAX_PRIMITIVES holds one. Raises ValueError for a path that is not absolute."""
    global _registering
    for name in filter(None, listed.split(os.pathsep)):
        if not Path(name).is_file() or not Path(name).is_absolute():
            raise ValueError(f"{VARIABLE}={listed}: {name} is no absolute path of a file, which every process needs")
        _registering = Path(name)
        spec = importlib.util.spec_from_file_location(f"primitives_of_{_registering.stem}", name)
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        if str(_registering.parent) not in sys.path:
            sys.path.append(str(_registering.parent))  # its layers may lie beside it
        try:
            spec.loader.exec_module(module)
        finally:
            _registering = None
