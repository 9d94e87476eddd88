"""The space of patterns whose layers have options, and what moves in it: see aira_jax/patterns/options.py."""

import dataclasses
from typing import Any

from aira_jax.controls import moves
from aira_jax.controls.outside import Outside
from aira_jax.controls.trials import Method, Options, Region
from aira_jax.patterns import options as layer_options
from aira_jax.patterns.options import MAX_KINDS, OptionPattern, options_of
from aira_jax.tasks.compose.space import PatternSpace

METHODS = (Method.RANDOM, Method.MUTATE)
_CHANGED = 0.5  # of the kinds of layers that a sample draws, so many have options
_TRIES = 64
_SHRINKING = 3  # of so many kinds something is saved before options are taken back


@dataclasses.dataclass(frozen=True)
class OptionSpace(PatternSpace):
    """Patterns of layers with options, of at most 4 kinds, and no larger than without their options."""

    def read_pattern(self, text: str) -> OptionPattern:
        pattern = layer_options.parse(text)
        layer_options.check_kinds(pattern)
        layer_options.check_size(pattern)
        return pattern

    def region(self, layers: int = 0) -> "OptionRegion":
        if layers not in (0, self.n_layers):
            raise ValueError(f"config.llm.layers={layers}: patterns of this task have {self.n_layers} layers, leave it")
        return OptionRegion(self.primitives, self.n_layers)

    def facts(self, pattern: OptionPattern) -> dict[str, Any]:
        """The parameters of the layers at width 128, and how many the rule allows."""
        allowed = pattern.without_options().parameters()
        return {"layer_parameters": pattern.parameters(), "layer_parameters_allowed": allowed}

    def check_control(self, method: Method | Outside, *, layers: int, options: Options) -> None:
        """Raises ValueError for a search that knows primitives only."""
        if isinstance(method, Method) and method not in METHODS:
            raise ValueError(
                f"control.{method} searches plain patterns, not options of layers: choose control.random, "
                "control.mutate or control.evolution"
            )
        super().check_control(method, layers=layers, options=options)


@dataclasses.dataclass(frozen=True)
class OptionRegion(Region):
    """All valid patterns with options. It is too large to be enumerated: a proposer samples and changes."""

    @property
    def size(self) -> int:
        """The number of layer sequences, those that are too large or of too many kinds included."""
        return sum(len(list(layer_options.layers(p))) for p in self.primitives) ** self.layers

    def __contains__(self, pattern) -> bool:
        return isinstance(pattern, OptionPattern) and super().__contains__(pattern.plain)

    def __iter__(self):
        raise ValueError("patterns with options cannot be enumerated: use control.random, mutate or evolution")

    def sample(self, rng) -> OptionPattern:
        """Two to four kinds of layers, half of them with drawn options, in any order; then as small as it must be."""
        kinds = [self._kind(rng) for _ in range(2 + int(rng.integers(MAX_KINDS - 1)))]
        return self._fitted(tuple(_pick(kinds, rng) for _ in range(self.layers)), rng)

    def mutate(self, pattern: OptionPattern, rng) -> OptionPattern:
        """Another valid pattern: one option of one layer or of all layers like it, or a change of plain patterns."""
        for _ in range(_TRIES):
            change = (self._change_one, self._change_all, self._rearrange)[int(rng.integers(3))]
            child = self._fitted(change(pattern.layers, rng), rng)
            if child != pattern:
                return child
        return OptionPattern(moves.substitute(pattern.plain.layers, self.primitives, rng))

    def cross(self, head: OptionPattern, tail: OptionPattern, rng) -> OptionPattern:
        return self._fitted(moves.cross(head.layers, tail.layers, rng), rng)

    def _kind(self, rng) -> str:
        kind = _pick(self.primitives, rng)
        for _ in range(int(rng.integers(1, 3)) if rng.random() < _CHANGED else 0):
            kind = _other_option(kind, rng)
        return kind

    def _change_one(self, layers: moves.Layers, rng) -> moves.Layers:
        at = int(rng.integers(len(layers)))
        return (*layers[:at], _other_option(layers[at], rng), *layers[at + 1 :])

    def _change_all(self, layers: moves.Layers, rng) -> moves.Layers:
        old = _pick(layers, rng)
        new = _other_option(old, rng)
        return tuple(new if layer == old else layer for layer in layers)

    def _rearrange(self, layers: moves.Layers, rng) -> moves.Layers:
        return moves.mutate(layers, tuple(sorted({*layers, *self.primitives})), rng)

    def _fitted(self, layers: moves.Layers, rng) -> OptionPattern:
        """A valid pattern of these layers: where it is too large, other kinds become smaller, or options are taken back
        in random order."""
        pattern, shrinking = OptionPattern(layers), _SHRINKING
        while not layer_options.is_valid(pattern):
            kinds = sorted(set(pattern.layers))
            if shrinking and len(kinds) <= MAX_KINDS:
                old, shrinking = _pick(kinds, rng), shrinking - 1
                new = old if layer_options.growth(old) > 0 else _smaller(old, rng)
            else:
                old = _pick([kind for kind in kinds if kind not in self.primitives], rng)
                new = _plain(old)
            pattern = OptionPattern(tuple(new if layer == old else layer for layer in pattern.layers))
        return pattern


def _plain(layer: str) -> str:
    return layer_options.read(layer).primitive


def _smaller(layer: str, rng) -> str:
    """The layer with an option that saves parameters; itself where there is none."""
    old = layer_options.read(layer)
    others = [other for other in layer_options.layers(old.primitive) if _differ_once(old, other)]
    fewer = [str(other) for other in others if other.parameters() < old.parameters()]
    return _pick(fewer, rng) if fewer else layer


def _differ_once(a: layer_options.Layer, b: layer_options.Layer) -> bool:
    return sum(a[option.key] != b[option.key] for option in options_of(a.primitive)) == 1


def _other_option(layer: str, rng) -> str:
    """The layer with another value of one of its options; itself if that contradicts the other options."""
    old = layer_options.read(layer)
    option = _pick(options_of(old.primitive), rng)
    value = _pick([value for value in option.values if value != old[option.key]], rng)
    new = layer_options.build(old.primitive, {**old.chosen, option.key: value})
    return layer if layer_options.contradiction(new) else str(new)


def _pick(choices, rng):
    return choices[int(rng.integers(len(choices)))]
