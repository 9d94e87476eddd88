"""A space of model.py files for searches without a language model: designs of `lra.designs`, varied by their switches.

A switch is a value that a design names in its source: a constant, the default of a field, the width of a convolution.
A change rewrites one value, so that a child differs from its parent in one line. Imports no array library.
"""

import ast
import dataclasses
import functools
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from aira_jax.tasks.lra.preparing import MODEL, Task
from lra import designs
from lra import settings as lra_settings

Files = Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Switch:
    """`pattern` finds the value (its only group) in a source; `values` are what it may be, as they are written."""

    name: str
    pattern: str
    values: tuple[str, ...]

    def value(self, source: str) -> str | None:
        """How the source sets it, None where it does not."""
        found = re.search(self.pattern, source, re.MULTILINE)
        return found and found[1]

    def put(self, source: str, value: str) -> str:
        """The source with another value, everywhere that it stands."""
        return re.sub(
            self.pattern,
            lambda found: found[0][: found.start(1) - found.start()] + value + found[0][found.end(1) - found.start() :],
            source,
            flags=re.MULTILINE,
        )


def _constant(name: str, *values: str) -> Switch:
    return Switch(name, rf"^{name} = (\S+)$", values)


def _field(name: str, *values: str) -> Switch:
    return Switch(name, rf"^    {name}: \w+ = (\S+)$", values)


def _words(name: str, *values: str) -> Switch:
    return _constant(name, *(f'"{value}"' for value in values))


SWITCHES = (
    _words("MIXER", "scan", "linear", "chunk", "features", "conv"),
    _constant("CONV_WIDTH", "0", "3", "5", "7", "15"),
    _words("GATE", "none", "silu"),
    _words("FFN", "gelu", "swiglu", "bilinear"),
    _words("NORM", "layer", "rms"),
    _words("POSITIONS", "none", "learned", "sinusoidal"),
    _words("POOL", "mean", "max", "attention"),
    _constant("DROPOUT", "0.0", "0.1"),
    _constant("CHUNK", "64", "128", "256"),
    _field("dropout_rate", "0.0", "0.1"),
    _field("conv_width", "7", "15", "31"),
    _field("chunk", "64", "128"),
    _field("key_dim", "32", "64"),
    _field("states", "8", "16"),
    _field("ssm_init", '"hippo"', '"lru"'),
    Switch("convolution", r"DepthwiseConv\((\d+)\)\(", ("3", "5", "7", "15")),
)
SETTINGS = (
    _constant("LR", "3e-4", "5e-4", "1e-3", "2e-3", "3e-3"),
    _constant("NUM_LAYERS", "1", "2", "3", "4"),
    _constant("EMB_DIM", "64", "96", "128"),
    _constant("QKV_DIM", "EMB_DIM"),
    _constant("MLP_DIM", "128", "192", "256"),
    _constant("NUM_HEADS", "2", "4", "8"),
    _constant("BATCH_SIZE", "16", "32", "64"),
    _constant("WEIGHT_DECAY", "0.01", "0.05", "0.1"),
    _constant("WARMUP_STEPS", "50", "100", "300"),
)
_BLIND = ('"linear"', '"chunk"', '"features"')  # mixers that see no order


@dataclasses.dataclass(frozen=True)
class DesignSpace:
    """The model.py files of one task. `configurable`: the settings of training are switches too, in the range that
    agents explored on the task where that is known.

    `rng` is a numpy.random.Generator; files are {"model.py": text}.
    """

    task: str
    configurable: bool = False

    @classmethod
    def of(cls, folder: Path) -> "DesignSpace":
        """That of a task folder, as its metadata.yaml says."""
        task = Task.of(folder)
        return cls(task.name, task.configurable)

    @functools.cached_property
    def switches(self) -> tuple[Switch, ...]:
        return SWITCHES + self.settings

    @functools.cached_property
    def settings(self) -> tuple[Switch, ...]:
        return tuple(_explored(switch, self.task) for switch in SETTINGS) if self.configurable else ()

    @functools.cached_property
    def designs(self) -> tuple[str, ...]:
        """Sources that fit the task: the published designs for one document or for two, and the cookbook."""
        pair = lra_settings.task_info(self.task).pair
        tasks = [task for task, info in lra_settings.TASKS.items() if info.pair is pair]
        names = dict.fromkeys(name for task in tasks for name in designs.names(task))
        return tuple(designs.source(name) for name in (*names, designs.COOKBOOK))

    def sample(self, rng) -> dict[str, str]:
        """A design, half of the time the cookbook, with every switch drawn."""
        *published, cookbook = self.designs
        source = cookbook if rng.random() < 0.5 else _pick(published, rng)
        source = _with_settings(source, self.settings)
        for switch in self._in(source):
            source = switch.put(source, _pick(switch.values, rng))
        return _files(_seeing(source))

    def mutate(self, files: Files, rng) -> dict[str, str]:
        """The same source with another value of one switch; a sample where there is no switch."""
        source = files.get(MODEL, "")
        choices = [(s, v) for s in self._in(source) for v in s.values if v != s.value(source)]
        while choices:
            switch, value = choices.pop(int(rng.integers(len(choices))))
            child = _seeing(switch.put(source, value))
            if child != source:
                return {**files, **_files(child)}
        return {**files, **self.sample(rng)}

    def crossover(self, a: Files, b: Files, rng) -> dict[str, str]:
        """`a` with about half of the values that `b` sets differently; a mutation of `a` where that is `a` itself."""
        source, other = a.get(MODEL, ""), b.get(MODEL, "")
        child = source
        for switch in self._in(source):
            value = switch.value(other)
            if value in switch.values and rng.random() < 0.5:
                child = switch.put(child, value)
        child = _seeing(child)
        return {**a, **_files(child)} if child != source else self.mutate(a, rng)

    def canonical(self, files: Files) -> str | None:
        """Equal for sources that differ in comments and layout only; None if Python cannot read the source."""
        try:
            tree = ast.dump(ast.parse(files.get(MODEL, "?")))
        except (SyntaxError, ValueError):
            return None
        return hashlib.sha256(tree.encode()).hexdigest()

    def _in(self, source: str) -> Iterator[Switch]:
        """The switches that a source has, but those with one value only."""
        return (s for s in self.switches if len(s.values) > 1 and s.value(source) is not None)


def _explored(switch: Switch, task: str) -> Switch:
    """The switch without numbers that agents never tried on the task."""
    key = next(key for key, names in lra_settings.NAMES.items() if switch.name in names)
    low, high = lra_settings.EXPLORED.get(task, lra_settings.BOUNDS)[key]
    values = (value for value in switch.values if value.isidentifier() or low <= float(value) <= high)
    return dataclasses.replace(switch, values=tuple(values))


def _with_settings(source: str, settings: Sequence[Switch]) -> str:
    """The source with a line for every setting, after its imports."""
    missing = [s for s in settings if s.value(source) is None]
    if not missing:
        return source
    lines = source.splitlines()
    last = max(i for i, line in enumerate(lines) if line.startswith(("import ", "from ")))
    wanted = [f"{s.name} = {s.values[0]}" for s in missing]
    return "\n".join([*lines[: last + 1], "", *wanted, *lines[last + 1 :]]) + "\n"


def _seeing(source: str) -> str:
    """A mixer that sees no order gets positions where no convolution shows them either."""
    values = {s.name: s.value(source) for s in SWITCHES}
    blind = values["MIXER"] in _BLIND and values["CONV_WIDTH"] == "0" and values["POSITIONS"] == '"none"'
    idle = values["MIXER"] == '"conv"' and values["CONV_WIDTH"] == "0"
    fixes = [("POSITIONS", '"sinusoidal"')] * blind + [("CONV_WIDTH", "7")] * idle
    for name, value in fixes:
        source = next(s for s in SWITCHES if s.name == name).put(source, value)
    return source


def _files(source: str) -> dict[str, str]:
    return {MODEL: source}


def _pick(options: Sequence[str], rng) -> str:
    return options[int(rng.integers(len(options)))]
