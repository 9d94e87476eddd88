"""What all Compose tasks share: the space of patterns, and `submission.csv`, which holds one of them.

architecture
5(2A-M)-A
"""

import csv
import dataclasses
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aira_jax import patterns
from aira_jax.controls.outside import Outside
from aira_jax.controls.trials import Method, Options, Region, Trial
from aira_jax.patterns import Pattern, PatternError
from aira_jax.proxies import fidelity
from aira_jax.tasks.evaluation import Arguments, Stage, SubmissionError

SUBMISSION = "submission.csv"
COLUMN = "architecture"
LAYERS = 16
MIN_LAYERS = "AIRA_JAX_MIN_LAYERS"  # environment of the evaluator: set by searches without a language model only
WIDTH_SCALING = "AIRA_JAX_WIDTH_SCALING"  # environment of the evaluator: the model width is 8 x layers

Files = Mapping[str, str]
Tried = tuple[Files, float | None]

_MAX_BYTES = 2**16


@dataclasses.dataclass(frozen=True)
class PatternSpace:
    """Patterns of `n_layers` layers of `primitives`. `example` is one of them, shown where a file is wrong.

    With `min_layers`, patterns of so many layers or more are valid too: what a search without a language model may ask
    for, whose task is then another one than the description tells.

    `sample`, `mutate` and `crossover` let a proposer without a language model move in it; `rng` is a
    numpy.random.Generator and files are {"submission.csv": text}.
    """

    primitives: tuple[str, ...]
    example: str
    n_layers: int = LAYERS
    min_layers: int | None = None

    def read(self, path: Path) -> Pattern:
        """The pattern in a submission file. Raises SubmissionError with place, picture and mend.

        Where the environment has AIRA_JAX_MIN_LAYERS, patterns of fewer layers are valid from there on.
        """
        shortest = os.environ.get(MIN_LAYERS)
        if shortest and self.min_layers is None:
            return dataclasses.replace(self, min_layers=int(shortest)).read(path)
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
            pattern = self.read_pattern(text)
            short = self.min_layers is not None and self.min_layers <= len(pattern) <= self.n_layers
            patterns.validate(pattern, n_layers=None if short else self.n_layers, primitives=self.primitives)
        except PatternError as error:
            raise self._error(f"{where}: {error.problem}\n{error.picture}\n    {error.fix}") from error
        return pattern

    def read_pattern(self, text: str) -> Pattern:
        """Reads the pattern language of this space. Raises PatternError."""
        return patterns.parse(text)

    def _error(self, message: str, text: str | None = None, pos: int = 0) -> SubmissionError:
        picture = "" if text is None else f"\n{patterns.picture(text, pos)}"
        return SubmissionError(f"{message}{picture}\n{self._valid_file()}")

    def _valid_file(self) -> str:
        return f"    a valid file:\n        {COLUMN}\n        {self.example}"

    def facts(self, pattern: Pattern) -> dict[str, Any]:
        """What a result file tells about a pattern of this space beside its scores."""
        del pattern
        return {}

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

    def layers(self, files: Mapping[str, str]) -> int:
        """How many layers a candidate's pattern has, also where it is shorter than the task's; 0 if it is not valid."""
        pattern = self._any_length(files)
        return 0 if pattern is None else len(pattern)

    def sample(self, rng) -> dict[str, str]:
        """A uniformly drawn pattern."""
        return self.files(self.region().sample(rng))

    def mutate(self, files: Mapping[str, str], rng) -> dict[str, str]:
        """A pattern that differs from the given one: by one layer, by two swapped layers or by a copied block."""
        return self.files(self.region().mutate(self.pattern(files), rng))

    def crossover(self, a: Mapping[str, str], b: Mapping[str, str], rng) -> dict[str, str]:
        """The head of `a` and the tail of `b`; a mutation of `a` where that is `a` itself."""
        head = self.pattern(a)
        child = self.region().cross(head, self.pattern(b), rng)
        return self.files(child) if child != head else self.mutate(a, rng)

    def region(self, layers: int = 0) -> Region:
        """All patterns of this space, or those of fewer layers. Raises ValueError for more layers than it has."""
        if not 0 <= layers <= self.n_layers:
            raise ValueError(f"config.llm.layers={layers}: patterns of this task have 1 to {self.n_layers} layers")
        return Region(self.primitives, layers or self.n_layers)

    def propose(
        self,
        method: Method | Outside,
        tried: Sequence[Tried],
        ahead: Sequence[Files],
        *,
        rng,
        layers: int,
        options: Options,
    ) -> tuple[Files, str]:
        """The next candidate of a proposer without a language model, and its reason.

        `tried` are (files, quality) of every evaluated candidate, more is better and None means that it failed;
        `ahead` the files of those that are being evaluated. `layers` 0: as many as the task has. Raises Exhausted,
        ValueError.
        """
        from aira_jax.controls import methods  # here, because the static check of a submission goes without numpy

        trials = [Trial(p, quality) for files, quality in tried if (p := self._any_length(files))]
        pending = [p for files in ahead if (p := self._any_length(files))]
        proposal = methods.propose(method, self.region(layers), trials, pending=pending, rng=rng, options=options)
        return self.files(proposal.pattern), proposal.rationale

    def check_control(self, method: Method | Outside, *, layers: int, options: Options) -> None:
        """Raises ValueError for options with which `propose` could never work, and where a package is missing."""
        from aira_jax.controls import methods

        methods.check(method, self.region(layers), options)

    def shortest(self, method: Method | Outside, *, layers: int, options: Options) -> int | None:
        """The fewest layers that `propose` will ask for, None if it keeps to the task's number."""
        from aira_jax.controls import methods

        fewest = methods.shortest(method, self.region(layers), options)
        return fewest if fewest < self.n_layers else None

    def _any_length(self, files: Files) -> Pattern | None:
        try:
            return dataclasses.replace(self, min_layers=1).pattern(files)
        except SubmissionError:
            return None


def require_one_stage(arguments: Arguments) -> None:
    """Raises SubmissionError for a stage that makes sense only where the submission is code."""
    if arguments.stage is not Stage.ALL:
        raise SubmissionError(
            f"--stage={arguments.stage}: this task's submission is data, not code, so that training and scoring are "
            "one step: use --stage=all"
        )


def scaled(preset, pattern: Pattern):
    """`preset`, at a width that grows with the pattern where the environment has AIRA_JAX_WIDTH_SCALING."""
    return fidelity.scaled(preset, len(pattern)) if os.environ.get(WIDTH_SCALING) else preset
