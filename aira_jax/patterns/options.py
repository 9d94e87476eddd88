"""Patterns whose layers have options: the pattern language with hyper-parameters and norms of single layers.

    layer  = primitive ["[" option {";" option} "]"];   option = key "=" value

For example `A[head=16]-3M[ratio=2;norm=rms]-M`. Everything else is the pattern language (language.py); a comma may
stand for the semicolon. An option that says what holds anyway is dropped, so that equal layers have one canonical form,
and a pattern without options is written as ever. Importable without jax.
"""

import dataclasses
import functools
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from aira_jax.core import choices
from aira_jax.patterns import language, registry
from aira_jax.patterns.language import Pattern, PatternError
from aira_jax.patterns.registry import Option, Value

MAX_KINDS = 4  # of different layers in a pattern
WIDTH = 128  # the model width at which layers are weighed against each other


def options_of(primitive: str) -> tuple[Option, ...]:
    """What may be chosen for a layer of a primitive."""
    return registry.get(primitive).options


@dataclasses.dataclass(frozen=True)
class Layer:
    """A primitive and, in the order of its row, those of its options that differ from their defaults."""

    primitive: str
    chosen: Mapping[str, Value] = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        options = ";".join(f"{key}={value}" for key, value in self.chosen.items())
        return f"{self.primitive}[{options}]" if options else self.primitive

    def __getitem__(self, key: str) -> Value:
        """The value of an option, chosen or not; KeyError for one that the primitive does not have."""
        return self.chosen[key] if key in self.chosen else _options(self.primitive)[key].default

    @property
    def values(self) -> dict[str, Value]:
        """Every option with its value, chosen or not."""
        return {key: self[key] for key in _options(self.primitive)}

    def parameters(self, width: int = WIDTH) -> int:
        """How many numbers the layer learns in a proxy model of `width`, its norm included."""
        norm = {"layer": 2 * width, "rms": width, "none": 0}[self["norm"]]
        return norm + registry.get(self.primitive).proxy_parameters(self.values, width)


class OptionPattern(Pattern):
    """A pattern whose layers may have options; `layers` are their canonical texts, such as `M[ratio=2]`."""

    @staticmethod
    def layer(text: str) -> str:
        return str(read(text))

    @property
    def plain(self) -> Pattern:
        """The primitives alone."""
        return Pattern(tuple(read(layer).primitive for layer in self.layers))

    def without_options(self) -> "OptionPattern":
        return OptionPattern(self.plain.layers)

    def counts(self) -> Counter[str]:
        """How many layers each primitive has, whatever their options."""
        return self.plain.counts()

    def parameters(self, width: int = WIDTH) -> int:
        """The parameters of all layers together."""
        return sum(read(layer).parameters(width) for layer in self.layers)


def parse(text: str) -> OptionPattern:
    """Reads one pattern; raises PatternError whose `pos` refers to `text` as given."""
    return OptionPattern(_Parser(text).parse(), source=text)


@functools.lru_cache(4096)
def read(text: str) -> Layer:
    """One layer, such as `A` or `M[ratio=2]`; raises PatternError."""
    if not text:
        raise PatternError("no layer", text, 0, "give one primitive with its options")
    parser = _Parser(text)
    layer = parser.read()
    if parser.pos != len(text):
        raise PatternError("more than one layer", text, parser.pos, "give one primitive with its options")
    return layer


def build(primitive: str, values: Mapping[str, Value]) -> Layer:
    """The layer with these options, in their order and without those that say what holds anyway."""
    said = {option.key: values.get(option.key, option.default) for option in options_of(primitive)}
    return Layer(primitive, {key: value for key, value in said.items() if value != _options(primitive)[key].default})


def contradiction(layer: Layer) -> tuple[str, str, str] | None:
    """(key, problem, fix) of options that cannot go together, None where all is well."""
    if layer["norm"] == "none" and layer["place"] == "post":
        return "place", "a place for no norm", "leave out place, or choose norm=rms"
    return registry.get(layer.primitive).clash(layer.values)


def layers(primitive: str) -> Iterator[Layer]:
    """Every layer of a primitive, the plain one first."""
    options = options_of(primitive)
    for values in itertools.product(*(option.values for option in options)):
        layer = build(primitive, dict(zip((option.key for option in options), values, strict=True)))
        if contradiction(layer) is None:
            yield layer


def is_valid(pattern: OptionPattern) -> bool:
    """Whether `check_kinds` and `check_size` pass."""
    return len(set(pattern.layers)) <= MAX_KINDS and pattern.parameters() <= pattern.without_options().parameters()


def check_kinds(pattern: OptionPattern) -> None:
    """Raises PatternError for more than 4 different layers, whose program would take long to compile."""
    kinds = list(dict.fromkeys(pattern.layers))
    if len(kinds) > MAX_KINDS:
        problem = f"{len(kinds)} kinds of layers ({', '.join(kinds)}), at most {MAX_KINDS} allowed"
        text = pattern.source or pattern.canonical()
        raise PatternError(problem, text, max(text.find("["), 0), "give more layers the same options")


def check_size(pattern: OptionPattern) -> None:
    """Raises PatternError for a pattern with more parameters than it would have without its options.

    Both are counted at width 128. Options may move parameters between layers, they may not add any: larger is not the
    answer to the question which arrangement is better.
    """
    used, allowed = pattern.parameters(), pattern.without_options().parameters()
    if used <= allowed:
        return
    larger = {layer: n for layer, n in Counter(pattern.layers).items() if growth(layer) > 0}
    listed = ", ".join(f"{n} x {layer} ({growth(layer):+,} each)" for layer, n in larger.items())
    text = pattern.source or pattern.canonical()
    problem = f"{used:,} parameters in the layers, {used - allowed:,} more than without options"
    raise PatternError(problem, text, text.find("["), f"make other layers smaller or take back some of {listed}")


def growth(layer: str) -> int:
    """How many parameters a layer's options add at width 128; negative where they save some."""
    found = read(layer)
    return found.parameters() - Layer(found.primitive).parameters()


class _Parser(language.Parser):
    def layer(self) -> str:
        return str(self.read())

    def read(self) -> Layer:
        primitive = super().layer()
        if not self.chars.startswith("[", self.pos):
            return Layer(primitive)
        end = self.chars.find("]", self.pos)
        if end < 0:
            raise self.error("this bracket is never closed", self.pos, "add a ]")
        values: dict[str, Value] = {}
        places: dict[str, int] = {}
        start = self.pos + 1
        for part in re.split("[;,]", self.chars[start:end]):
            place = start + len(part) - len(part.lstrip())
            key, value = self.option(primitive, part, place)
            if key in values:
                raise self.error(f"{key} is given twice", place, "keep one of the two")
            values[key], places[key] = value, place
            start += len(part) + 1
        layer = build(primitive, values)
        clash = contradiction(layer)
        if clash:
            raise self.error(clash[1], places[clash[0]], clash[2])
        self.pos = end + 1
        return layer

    def option(self, primitive: str, part: str, place: int) -> tuple[str, Value]:
        key, equals, text = (piece.strip() for piece in part.partition("="))
        known = _options(primitive)
        if key not in known:
            raise self.error(*self.no_option(primitive, key, place))
        values = {str(value): value for value in known[key].values}
        if not equals or not text:
            raise self.error(f"{key} has no value", place, f"write {key}={known[key].default}, or {_listed(values)}")
        if text not in values:
            at = place + part.lstrip().index("=") + 1
            at += len(self.chars[at:]) - len(self.chars[at:].lstrip())
            raise self.error(f"{key}={text} is not offered", at, f"use {_listed(values)}")
        return key, values[text]

    def no_option(self, primitive: str, key: str, place: int) -> tuple[str, int, str]:
        own = f"{primitive} has {_listed(_options(primitive))}"
        if not key:
            return "an option is missing", place, f"write key=value; {own}"
        owners = [p for p in registry.tokens() if key in _options(p)]
        if owners:
            return f"{primitive} has no option {key}", place, f"it belongs to {_listed(owners)}; {own}"
        return f"unknown option {key!r}", place, own + choices.hint(key, list(_options(primitive)))

    def unknown(self) -> PatternError:
        if self.chars[self.pos] == "[":
            return self.error("options without a layer", self.pos, "write them after their layer, as in M[ratio=2]")
        if self.chars[self.pos] == "]":
            return self.error("this bracket was never opened", self.pos, "remove it or add a [ after a layer")
        return super().unknown()


def _options(primitive: str) -> dict[str, Option]:
    return {option.key: option for option in options_of(primitive)}


def _listed(names: Iterable[str]) -> str:
    *head, last = names
    return f"{', '.join(head)} or {last}" if head else last
