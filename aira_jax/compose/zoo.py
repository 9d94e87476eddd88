"""The zoo: the 14 AIRA architectures and 7 baselines of the paper at 350M, 1B and 3B, as printed and as built.

18 of the 63 printed patterns do not expand to the layer counts printed beside them. `printed` is the string of the
paper; `build` is what this project trains, equal to `printed` wherever that is consistent.
Source: arXiv 2605.15871, section 6.1 and appendix D.
"""

import dataclasses
import re
import sys
from typing import TextIO

from aira_jax.compose import dims as dims_lib
from aira_jax.compose import flops, zoo_table
from aira_jax.compose.flops import Parameters
from aira_jax.core import choices
from aira_jax.patterns import Pattern, parse

BASE = "base"  # the scale of the small pattern before scaling
ONLY = "-"  # the variant of a model that has one form
_TOKENS = dims_lib.primitives(3)  # of the published models


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model:
    """One architecture at one scale. The `printed_*` fields are None for a base: the paper prints none."""

    name: str
    variant: str  # "stacked", "stretched" or "-"
    scale: str  # "base", "350M", "1B" or "3B"
    space: int
    printed: str
    printed_layers: int | None = None
    printed_counts: dict[str, int] | None = None
    printed_params: tuple[float, float] | None = None  # billions: non-embedding, total
    build: Pattern
    note: str = ""

    @property
    def key(self) -> str:
        """The name that the paper's result tables use, e.g. `AIRAformer-D (Stretched)`."""
        return self.name if self.variant == ONLY else f"{self.name} ({self.variant.capitalize()})"

    @property
    def counts(self) -> dict[str, int]:
        """Layers of each primitive in `build`."""
        counts = self.build.counts()
        return {p: counts[p] for p in _TOKENS}

    @property
    def params(self) -> Parameters | None:
        """Exact parameters of `build`; None for a base, which has no width of its own."""
        return None if self.scale == BASE else flops.parameters(self.build, scale=self.scale, space=self.space)

    @property
    def agrees(self) -> bool:
        """Whether `printed` expands to the printed layers and counts."""
        if self.printed_counts is None:
            return True
        expanded = parse(self.printed)
        return len(expanded) == self.printed_layers and expanded.counts() == _nonzero(self.printed_counts)

    def to_json(self) -> dict:
        """Plain values; sizes are those of `build` unless they are called printed."""
        return {
            "name": self.name,
            "variant": self.variant,
            "scale": self.scale,
            "space": self.space,
            "printed": self.printed,
            "printed_layers": self.printed_layers,
            "printed_counts": self.printed_counts,
            "printed_params": self.printed_params,
            "agrees": self.agrees,
            "build": self.build.canonical(),
            "layers": len(self.build),
            "counts": self.counts,
            "params": None if self.params is None else self.params._asdict(),
            "note": self.note,
        }


_PRINTED = {row[:3]: row[3:] for row in zoo_table.PRINTED}
_VARIANTS = {name: tuple(dict.fromkeys(v for n, v, _ in _PRINTED if n == name)) for name in zoo_table.SPACES}
_ALIASES = {name.partition(" (")[0]: name for name in zoo_table.SPACES}


def names() -> tuple[str, ...]:
    """The names that `get` knows; those with a remark in parentheses may also be written without it."""
    return tuple(zoo_table.SPACES)


def variants(name: str) -> tuple[str, ...]:
    """The forms in which `name` was scaled: some of "stacked" and "stretched", or "-" for the only one."""
    return _VARIANTS[_full(name)]


def has_base(name: str) -> bool:
    """Whether `name` was scaled from a small pattern; baselines designed at scale were not."""
    return any(n == _full(name) for n, _ in zoo_table.BASES)


def models() -> tuple[tuple[str, str], ...]:
    """All 21 (name, variant) pairs."""
    return tuple((name, variant) for name in names() for variant in _VARIANTS[name])


def get(name: str, *, variant: str | None = None, scale: str) -> Model:
    """One model. `variant` may be left out where there is one, and at scale "base" where it makes no difference.

    Raises ValueError with the closest matches for an unknown name, variant or scale, and for a baseline's base.
    """
    name = _full(name)
    if scale == BASE:
        return _base(name, variant)
    choices.among("scale", scale, [BASE, *dims_lib.SCALES])
    variant = _variant(name, variant)
    printed, layers, counts, *billions = _PRINTED[name, variant, scale]
    build, note = _built(name, variant, scale)
    return Model(
        name=name,
        variant=variant,
        scale=scale,
        space=zoo_table.SPACES[name],
        printed=printed,
        printed_layers=layers,
        printed_counts=dict(zip(_TOKENS, counts, strict=True)),
        printed_params=tuple(billions),
        build=parse(build),
        note=note,
    )


def slugs() -> dict[str, tuple[str, str]]:
    """Short names for flags, e.g. `airahybrid_d_str`: slug -> (name, variant); "_st" is stacked, "_str" stretched."""
    return {_slug(name, variant): (name, variant) for name, variant in models()}


def by_slug(slug: str, *, scale: str) -> Model:
    """The model of a slug. Raises ValueError with the closest one."""
    name, variant = slugs()[choices.among("architecture", slug, slugs())]
    return get(name, variant=variant, scale=scale)


def _slug(name: str, variant: str) -> str:
    words = re.sub(r"[^a-z0-9]+", "_", name.partition(" (")[0].lower()).strip("_")
    return words + {"stacked": "_st", "stretched": "_str"}.get(variant, "")


def scaled() -> tuple[Model, ...]:
    """All 63 scaled models."""
    return tuple(get(name, variant=variant, scale=scale) for name, variant in models() for scale in dims_lib.SCALES)


def check(file: TextIO | None = None) -> tuple[Model, ...]:
    """Prints every model whose printed pattern contradicts its printed counts, and what is built; returns them."""
    file = sys.stdout if file is None else file
    everything = scaled()
    wrong = tuple(m for m in everything if not m.agrees)
    for m in wrong:
        expanded = parse(m.printed)
        print(f"{m.key}, {m.scale}", file=file)
        print(f"    printed   {m.printed}", file=file)
        print(f"    expands   {_sizes(len(expanded), expanded.counts())}", file=file)
        print(f"    table     {_sizes(m.printed_layers, m.printed_counts)}", file=file)
        print(f"    build     {m.build.source}    {_sizes(len(m.build), m.counts)}", file=file)
        print(f"    because   {m.note}", file=file)
    print(f"{len(everything) - len(wrong)} of {len(everything)} printed patterns agree with their counts", file=file)
    return wrong


def _full(name: str) -> str:
    full = _ALIASES.get(name, name)
    if full not in zoo_table.SPACES:
        raise ValueError(choices.unknown("architecture", name, list(names())))
    return full


def _variant(name: str, variant: str | None) -> str:
    known = _VARIANTS[name]
    if variant is None and len(known) == 1:
        return known[0]
    if variant is None:
        raise ValueError(f"{name} exists {' and '.join(known)}: give variant={known[0]!r} or variant={known[1]!r}")
    return choices.among(f"variant of {name}", variant, known)


def _base(name: str, variant: str | None) -> Model:
    known = {v: text for (n, v), text in zoo_table.BASES.items() if n == name}
    if not known:
        raise ValueError(
            f"{name} has no base pattern, it exists at scale only: use one of {', '.join(dims_lib.SCALES)}"
        )
    if "*" not in known:
        variant = _variant(name, variant)
    elif variant not in (None, ONLY):
        _variant(name, variant)
    printed = known.get("*") or known[variant]
    return Model(
        name=name,
        variant=variant or ONLY,
        scale=BASE,
        space=zoo_table.SPACES[name],
        printed=printed,
        build=parse(printed),
    )


def _built(name: str, variant: str, scale: str) -> tuple[str, str]:
    key = name, variant, scale
    if key in zoo_table.REPAIRED:
        return zoo_table.REPAIRED[key]
    return _PRINTED[key][0], zoo_table.KEPT.get(key, "")


def _nonzero(counts: dict[str, int]) -> dict[str, int]:
    return {p: n for p, n in counts.items() if n}


def _sizes(layers: int, counts: dict[str, int]) -> str:
    return f"{layers} layers ({'/'.join(_TOKENS)} {'/'.join(str(counts.get(p, 0)) for p in _TOKENS)})"
