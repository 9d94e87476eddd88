"""Where the paper's tables contradict one another or its patterns, computed from `zoo_table`; nothing is listed.

Source: arXiv 2605.15871, appendix D (patterns, ratios, parameters) and table 11 (layers beside the steps).
"""

import dataclasses
import enum
from collections.abc import Iterator, Mapping

from aira_jax.compose import zoo, zoo_table
from aira_jax.compose.zoo import Model
from aira_jax.patterns import parse


class Kind(enum.StrEnum):
    """What two places of the paper disagree about."""

    STEPS = "layers beside the steps"
    NO_PATTERN = "a row of steps without a pattern"
    RATIO = "ratio of A to M"
    SUM = "total that sums rounded numbers"
    ROUNDING = "rounded parameters"


@dataclasses.dataclass(frozen=True)
class Contradiction:
    """One printed value that does not follow from another one."""

    kind: Kind
    where: str  # model and scale
    words: str


def find() -> tuple[Contradiction, ...]:
    """All contradictions beside those of patterns and counts, which `zoo.check` prints; in the order of `Kind`."""
    models = {(m.name, m.variant, m.scale): m for m in zoo.scaled()}
    found = [*_steps(models), *(c for m in models.values() for c in (*_ratio(m), *_parameters(m)))]
    return tuple(sorted(found, key=lambda c: list(Kind).index(c.kind)))


def lines() -> tuple[str, ...]:
    """`find` as text: a heading with its number for every kind, and its rows."""
    found = find()
    text = []
    for kind in dict.fromkeys(c.kind for c in found):
        rows = [c for c in found if c.kind is kind]
        text += [f"{kind}: {len(rows)}", *(f"    {c.where:32} {c.words}" for c in rows)]
    return tuple(text)


def _steps(models: Mapping[tuple[str, str, str], Model]) -> Iterator[Contradiction]:
    for key, counts in zoo_table.STEP_COUNTS.items():
        model, here = models.get(key), "/".join(map(str, counts))
        if model is None:
            yield Contradiction(Kind.NO_PATTERN, f"{key[0]}, {key[2]}", f"A/M/Mb {here}")
        elif counts != tuple(model.printed_counts.values()):
            there = "/".join(map(str, model.printed_counts.values()))
            yield Contradiction(Kind.STEPS, _where(model), f"A/M/Mb {here}, beside the pattern {there}")


def _ratio(model: Model) -> Iterator[Contradiction]:
    printed = zoo_table.RATIOS.get((model.name, model.variant, model.scale))
    if printed is None or _of(model.counts) == printed:
        return
    string = _of(parse(model.printed).counts())
    follows = "which the printed pattern has" if string == printed else f"the printed pattern has {string}"
    yield Contradiction(Kind.RATIO, _where(model), f"{printed}, {follows}; its counts give {_of(model.counts)}")


def _of(counts: Mapping[str, int]) -> float:
    return round(counts["A"] / counts["M"], 1)


def _parameters(model: Model) -> Iterator[Contradiction]:
    part, total = (n / 1e9 for n in model.params)
    printed_part, printed_total = model.printed_params
    if round(part, 2) != printed_part:
        yield Contradiction(Kind.ROUNDING, _where(model), f"{printed_part:.2f} for {part:.4f} billion")
    if round(total, 2) != printed_total:
        embedding = round(total - part, 2)
        is_sum = round(printed_part + embedding, 2) == printed_total
        words = f"{printed_total:.2f} for {total:.4f} billion"
        if is_sum:
            words += f" = {printed_part:.2f} + {embedding:.2f}"
        yield Contradiction(Kind.SUM if is_sum else Kind.ROUNDING, _where(model), words)


def _where(model: Model) -> str:
    return f"{model.key}, {model.scale}"
