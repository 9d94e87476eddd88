"""Patterns, and all that is known of their primitives without training one. Importable without jax.

    pattern = parse("3(2Mb-M-A)-2(Mb-M)")
    pattern.canonical(), pattern.counts()

language.py is the only parser, options.py extends it by options of a layer, registry.py has one row per primitive:
`register(Primitive(...))` adds one of your own.
"""

import os

from aira_jax.patterns import registry
from aira_jax.patterns.language import (
    MAX_COUNT,
    MAX_LAYERS,
    Parser,
    Pattern,
    PatternError,
    edit_distance,
    hamming,
    neighbours,
    parse,
    picture,
    validate,
)
from aira_jax.patterns.registry import Option, Primitive, register, tokens

__all__ = [
    "MAX_COUNT",
    "MAX_LAYERS",
    "Option",
    "Parser",
    "Pattern",
    "PatternError",
    "Primitive",
    "edit_distance",
    "hamming",
    "neighbours",
    "parse",
    "picture",
    "register",
    "tokens",
    "validate",
]

registry.load(os.environ.get(registry.VARIABLE, ""))
