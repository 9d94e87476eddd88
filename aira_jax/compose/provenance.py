"""What scores rest on: preset, corpus, seeds, evaluations, numerics, device, versions. Every report states it."""

from collections.abc import Iterable, Mapping, Sequence

from aira_jax.compose.rows import Measured, Row
from aira_jax.proxies.result import ProxyResult

Facts = Mapping[str, tuple[str, ...]]  # what -> its distinct values; what nobody knows is left out


def of_rows(rows: Sequence[Row]) -> Facts:
    """Of collected steps, validation and test scores alike. Scores with equal cache keys are one evaluation."""
    measured = [m for row in rows for m in (row.validation, *row.tests) if m is not None]
    evaluations = {m.key for m in measured if m.key} or {(r.task, r.pattern) for r in rows if r.validation}
    return _known(
        {
            "preset": {row.preset for row in rows},
            "tasks": {row.task for row in rows},
            **_numerics(measured),
            "unique evaluations": [f"{len(evaluations):,}"],
            "evaluator seconds": [f"{sum(row.wall_s for row in rows):,.0f}"],
            "code": {row.code_version for row in rows},
        }
    )


def of_results(results: Sequence[ProxyResult]) -> Facts:
    """Of evaluations that were made here."""
    measured = [Measured.of(0.0, result.eval_seed, {"extra": {"proxy": result.to_json()}}) for result in results]
    return _known(
        {
            "preset": {result.profile for result in results},
            "split": {str(result.split) for result in results},
            **_numerics(measured),
            "unique evaluations": [f"{len({m.key for m in measured}):,}"] if measured else [],
        }
    )


def told(facts: Facts) -> str:
    """One line."""
    return "; ".join(f"{name} {', '.join(values)}" for name, values in facts.items())


def _numerics(measured: Sequence[Measured]) -> dict[str, Iterable]:
    names = {"data seeds": "data_seed", "evaluator seeds": "eval_seed", "corpora": "corpus"}
    names |= {"evaluator sources": "sources", "numbers": "dtype", "device": "device"}
    found = {what: {getattr(m, name) for m in measured} for what, name in names.items()}
    return found | {"versions": {f"{name} {version}" for m in measured for name, version in m.versions.items()}}


def _known(facts: Mapping[str, Iterable]) -> Facts:
    given = {name: {str(value) for value in values if value not in (None, "")} for name, values in facts.items()}
    return {name: tuple(sorted(values)) for name, values in given.items() if values}
