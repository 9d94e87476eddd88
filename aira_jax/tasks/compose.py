"""What all Compose tasks share: the space of patterns, and `submission.csv`, which holds one of them.

architecture
5(2A-M)-A
"""

import csv
import dataclasses
import io
from collections.abc import Mapping
from pathlib import Path

from aira_jax import patterns
from aira_jax.patterns import Pattern, PatternError
from aira_jax.tasks.evaluation import SubmissionError

SUBMISSION = "submission.csv"
COLUMN = "architecture"
LAYERS = 16

_MAX_BYTES = 2**16


@dataclasses.dataclass(frozen=True)
class PatternSpace:
    """Patterns of `n_layers` layers of `primitives`. `example` is one of them, shown where a file is wrong.

    `sample`, `mutate` and `crossover` let a proposer without a language model move in it; `rng` is a
    numpy.random.Generator and files are {"submission.csv": text}.
    """

    primitives: tuple[str, ...]
    example: str
    n_layers: int = LAYERS

    def read(self, path: Path) -> Pattern:
        """The pattern in a submission file. Raises SubmissionError with place, picture and mend."""
        try:
            with path.open("rb") as file:
                content = file.read(_MAX_BYTES + 1)
        except OSError as error:
            raise SubmissionError(f"{path}: {error.strerror}\n{self._valid_file()}") from error
        return self.parse(content, name=path.name)

    def parse(self, content: bytes, *, name: str = SUBMISSION) -> Pattern:
        """The pattern in the bytes of a submission file. Raises SubmissionError."""
        if len(content) > _MAX_BYTES:
            raise self._error(f"{name}: larger than {_MAX_BYTES} bytes")
        try:
            text = content.decode("utf-8-sig")
            rows = [
                row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if any(c.strip() for c in row)
            ]
        except UnicodeDecodeError as error:
            raise self._error(f"{name}: byte {error.start} is not UTF-8") from error
        except csv.Error as error:
            raise self._error(f"{name}: not a CSV file ({error})") from error
        return self._pattern(self._cell(rows, name), f"{name} row 1, column {COLUMN}")

    def _cell(self, rows: list[list[str]], name: str) -> str:
        if not rows:
            raise self._error(f"{name}: the file is empty")
        header, *data = rows
        if [column.strip() for column in header] != [COLUMN]:
            problem = f"{name} header: the only column must be {COLUMN}"
            raise self._error(problem, ",".join(header), len(COLUMN) if header[0].strip() == COLUMN else 0)
        if not data:
            raise self._error(f"{name} row 1, column {COLUMN}: there is no row after the header, exactly one required")
        if len(data) > 1:
            problem = f"{name} row 2, column {COLUMN}: {len(data)} rows after the header, exactly one required"
            raise self._error(problem, ",".join(data[1]), 0)
        if len(data[0]) > 1:
            problem = f"{name} row 1: {len(data[0])} columns, one required; quote a pattern that holds commas"
            raise self._error(problem, ",".join(data[0]), len(data[0][0]))
        return data[0][0]

    def _pattern(self, text: str, where: str) -> Pattern:
        try:
            pattern = patterns.parse(text)
            patterns.validate(pattern, n_layers=self.n_layers, primitives=self.primitives)
        except PatternError as error:
            raise self._error(f"{where}: {error.problem}\n{error.picture}\n    {error.fix}") from error
        return pattern

    def _error(self, message: str, text: str | None = None, pos: int = 0) -> SubmissionError:
        picture = "" if text is None else f"\n{patterns.picture(text, pos)}"
        return SubmissionError(f"{message}{picture}\n{self._valid_file()}")

    def _valid_file(self) -> str:
        return f"    a valid file:\n        {COLUMN}\n        {self.example}"

    def files(self, pattern: Pattern) -> dict[str, str]:
        """The submission that holds `pattern`."""
        return {SUBMISSION: f"{COLUMN}\n{pattern.pretty()}\n"}

    def pattern(self, files: Mapping[str, str]) -> Pattern:
        """The pattern of a candidate. Raises SubmissionError, also when the candidate has no submission.csv."""
        if SUBMISSION not in files:
            raise self._error(f"{SUBMISSION}: the candidate has no such file, only {', '.join(files) or 'none'}")
        return self.parse(files[SUBMISSION].encode())

    def canonical(self, files: Mapping[str, str]) -> str | None:
        """The canonical form of a candidate's pattern, equal for equal layers; None if it is not valid."""
        try:
            return self.pattern(files).canonical()
        except SubmissionError:
            return None

    def sample(self, rng) -> dict[str, str]:
        """A uniformly drawn pattern."""
        return self.files(Pattern(tuple(self._primitive(rng) for _ in range(self.n_layers))))

    def mutate(self, files: Mapping[str, str], rng) -> dict[str, str]:
        """A pattern that differs from the given one: by one layer, by two swapped layers or by a copied block."""
        old = self.pattern(files).layers
        change = (self._substitute, self._swap, self._copy_block)[int(rng.integers(3))]
        new = change(old, rng)
        return self.files(Pattern(new if new != old else self._substitute(old, rng)))

    def crossover(self, a: Mapping[str, str], b: Mapping[str, str], rng) -> dict[str, str]:
        """The head of `a` and the tail of `b`; a mutation of `a` where that is `a` itself."""
        head, tail = self.pattern(a).layers, self.pattern(b).layers
        cut = 1 + int(rng.integers(self.n_layers - 1))
        child = head[:cut] + tail[cut:]
        return self.files(Pattern(child)) if child != head else self.mutate(a, rng)

    def _primitive(self, rng) -> str:
        return self.primitives[int(rng.integers(len(self.primitives)))]

    def _substitute(self, layers: tuple[str, ...], rng) -> tuple[str, ...]:
        at = int(rng.integers(len(layers)))
        others = [p for p in self.primitives if p != layers[at]]
        return (*layers[:at], others[int(rng.integers(len(others)))], *layers[at + 1 :])

    def _swap(self, layers: tuple[str, ...], rng) -> tuple[str, ...]:
        i, j = int(rng.integers(len(layers))), int(rng.integers(len(layers)))
        swapped = list(layers)
        swapped[i], swapped[j] = swapped[j], swapped[i]
        return tuple(swapped)

    def _copy_block(self, layers: tuple[str, ...], rng) -> tuple[str, ...]:
        length = 2 + int(rng.integers(len(layers) // 2 - 1))
        source, target = (int(rng.integers(len(layers) - length + 1)) for _ in range(2))
        return layers[:target] + layers[source : source + length] + layers[target + length :]
