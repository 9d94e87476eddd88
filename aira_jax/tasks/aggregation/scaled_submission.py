"""A submission of the aggregation task: a base pattern and how it is brought to the target size.

    architecture,scaling
    5(2A-M)-A,stack

The target is the size of 24 layers, half of them attention and half MLP, at the width of the proxies. With
s = target / size of the base (parameters of its layers, norms included, at width 128):

    stretch   every run of h layers becomes a run of ceil(s h)
    stack     floor(s) copies, then a fragment whose runs have round((s - floor(s)) h) layers
    prefix    the layers of the base over and over, as many as the target holds
    given     the pattern is at the target already

What comes out may miss the target by a tenth. Stretch and stack are the extrapolator's own rules (extrapolate.py).
"""

import csv
import dataclasses
import enum
import io
import itertools
import warnings
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

from aira_jax import patterns
from aira_jax.compose import extrapolate
from aira_jax.controls import moves
from aira_jax.core import choices
from aira_jax.patterns import Pattern, PatternError
from aira_jax.patterns.options import OptionPattern
from aira_jax.tasks.compose.space import LAYERS, SUBMISSION
from aira_jax.tasks.evaluation import SubmissionError

COLUMNS = ("architecture", "scaling")
PRIMITIVES = ("A", "M")
EXAMPLE = "5(2A-M)-A,prefix"
MAX_BYTES = 2**16


class Scaling(enum.StrEnum):
    STRETCH = "stretch"
    STACK = "stack"
    PREFIX = "prefix"
    GIVEN = "given"


def size(pattern: Pattern) -> int:
    """The parameters of all layers at width 128."""
    return OptionPattern(pattern.layers).parameters()


TARGET = size(patterns.parse("12(A-M)"))


@dataclasses.dataclass(frozen=True)
class Submission:
    """A base of 1 to 16 layers (GIVEN: of any number), and what it becomes at the target."""

    base: Pattern
    scaling: Scaling
    scaled: Pattern

    @property
    def deviation(self) -> float:
        """Size relative to the target: 0.05 is 5 % too large."""
        return size(self.scaled) / TARGET - 1

    def to_csv(self) -> str:
        return f"{','.join(COLUMNS)}\n{self.base.pretty()},{self.scaling}\n"


def scale(base: Pattern, scaling: Scaling) -> Submission:
    """The base at the target. Raises ValueError where the rule does not apply or misses the target by over a tenth."""
    factor = Fraction(TARGET, size(base))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", extrapolate.ExtrapolationWarning)
        match scaling:
            case Scaling.STRETCH:
                scaled = extrapolate.stretch(base, factor)
            case Scaling.STACK:
                scaled = extrapolate.stack(base, factor)
            case Scaling.PREFIX:
                scaled = _prefix(base)
            case Scaling.GIVEN:
                scaled = base
    found = Submission(base, scaling, scaled)
    if abs(found.deviation) > extrapolate.MAX_DEVIATION:
        mend = "add or remove layers" if scaling is Scaling.GIVEN else "use scaling prefix, or another base"
        raise ValueError(
            f"{scaling} gives {len(scaled)} layers ({scaled.pretty()}) of {size(scaled):,} parameters, "
            f"{found.deviation:+.1%} from the target {TARGET:,}, at most a tenth is allowed: {mend}"
        )
    return found


def closest(base: Pattern) -> Submission:
    """By the rule of the extrapolator that comes closest to the target; by prefix where neither comes near."""
    found = []
    for scaling in (Scaling.STRETCH, Scaling.STACK):
        try:
            found.append(scale(base, scaling))
        except ValueError:
            continue
    return min(found, key=lambda s: abs(s.deviation)) if found else scale(base, Scaling.PREFIX)


def _prefix(base: Pattern) -> Pattern:
    layers: tuple[str, ...] = ()
    for layer in itertools.cycle(base.layers):
        longer = Pattern((*layers, layer))
        if size(longer) > TARGET:
            return Pattern(layers)
        layers = longer.layers


def read(path: Path) -> Submission:
    """The submission in a file. Raises SubmissionError with place, picture and mend."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SubmissionError(f"{path}: {error.strerror}\n{_valid_file()}") from error
    return parse(content, name=path.name)


def parse(content: bytes, *, name: str = SUBMISSION) -> Submission:
    """The submission in the bytes of a file. Raises SubmissionError."""
    architecture, word = _fields(content, name)
    where = f"{name} row 1"
    try:
        base = patterns.parse(architecture)
        patterns.validate(base, primitives=PRIMITIVES)
    except PatternError as error:
        problem = f"{where}, column architecture: {error.problem}\n{error.picture}\n    {error.fix}"
        raise _error(problem) from error
    if word not in [*Scaling]:
        raise _error(f"{where}, column scaling: {choices.unknown('scaling', word, Scaling)}")
    if len(base) > LAYERS and word != Scaling.GIVEN:
        raise _error(f"{where}: a base has at most {LAYERS} layers, this one has {len(base)}: shorten it or use given")
    try:
        return scale(base, Scaling(word))
    except ValueError as error:
        raise _error(f"{where}: {error}") from error


def _fields(content: bytes, name: str) -> tuple[str, str]:
    if len(content) > MAX_BYTES:
        raise _error(f"{name}: larger than {MAX_BYTES} bytes")
    try:
        text = content.decode("utf-8-sig")
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if any(c.strip() for c in row)]
    except UnicodeDecodeError as error:
        raise _error(f"{name}: byte {error.start} is not UTF-8") from error
    except csv.Error as error:
        raise _error(f"{name}: not a CSV file ({error})") from error
    if not rows:
        raise _error(f"{name}: the file is empty")
    if tuple(column.strip() for column in rows[0]) != COLUMNS:
        raise _error(f"{name} header: the columns must be {','.join(COLUMNS)}, found {','.join(rows[0])}")
    if len(rows) != 2:
        raise _error(f"{name}: {len(rows) - 1} rows after the header, exactly one required")
    if len(rows[1]) != len(COLUMNS):
        raise _error(
            f"{name} row 1: {len(rows[1])} columns, {len(COLUMNS)} required; quote a pattern that holds commas"
        )
    return rows[1][0].strip(), rows[1][1].strip()


def _error(message: str) -> SubmissionError:
    return SubmissionError(f"{message}\n{_valid_file()}")


def _valid_file() -> str:
    return f"    a valid file:\n        {','.join(COLUMNS)}\n        {EXAMPLE}"


class Space:
    """What proposers without a language model may hand in: bases of 16 layers, brought to size by any rule that fits.

    `rng` is a numpy.random.Generator, files are {"submission.csv": text}.
    """

    def sample(self, rng) -> dict[str, str]:
        """A uniformly drawn base, and a rule among those that fit it."""
        base = Pattern(tuple(PRIMITIVES[int(i)] for i in rng.integers(2, size=LAYERS)))
        return {SUBMISSION: self._scaled(base, rng).to_csv()}

    def mutate(self, files: Mapping[str, str], rng) -> dict[str, str]:
        """Another model: one layer of the base, two swapped ones or a copied block; one in four times another rule."""
        old = parse(files[SUBMISSION].encode())
        while True:  # two bases or rules may give the same model, but most changes of a layer do not
            new = self._changed(old, rng)
            if new.scaled != old.scaled:
                return {SUBMISSION: new.to_csv()}

    def crossover(self, a: Mapping[str, str], b: Mapping[str, str], rng) -> dict[str, str]:
        """The head of one base and the tail of the other; a mutation where lengths differ or nothing changes."""
        head, tail = (parse(files[SUBMISSION].encode()).base for files in (a, b))
        if len(head) == len(tail) and (child := Pattern(moves.cross(head.layers, tail.layers, rng))) != head:
            return {SUBMISSION: self._scaled(child, rng).to_csv()}
        return self.mutate(a, rng)

    def canonical(self, files: Mapping[str, str]) -> str | None:
        """The scaled pattern, which alone is trained; None for a file that is not valid."""
        try:
            return parse(files[SUBMISSION].encode()).scaled.canonical() if SUBMISSION in files else None
        except SubmissionError:
            return None

    def _changed(self, old: Submission, rng) -> Submission:
        others = [s for s in self._rules(old.base) if s.scaling is not old.scaling]
        if others and rng.integers(4) == 0:
            return others[int(rng.integers(len(others)))]
        return self._scaled(Pattern(moves.mutate(old.base.layers, PRIMITIVES, rng)), rng)

    def _scaled(self, base: Pattern, rng) -> Submission:
        fitting = self._rules(base) or self._rules(Pattern(base.layers[:LAYERS]))
        return fitting[int(rng.integers(len(fitting)))]

    def _rules(self, base: Pattern) -> list[Submission]:
        found = []
        for scaling in Scaling if len(base) <= LAYERS else (Scaling.GIVEN,):
            try:
                found.append(scale(base, scaling))
            except ValueError:
                continue
        return found
