"""What metadata.yaml of a task must say: the AIRS-Bench keys, and the block `aira_jax` that extends them.

The published tasks are freer than ours: they write a shape as `(300, 1)` or `300,1`, a list of one as its bare item,
and names that do not spell problem, data set and metric. Rules.FORMAT takes all that; Rules.OWN is for our folders.
"""

import dataclasses
import enum
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from aira_jax.core import choices
from aira_jax.tasks import sources


class Rules(enum.Enum):
    """How strict to be: as the format's own check, or as our folders are written."""

    FORMAT = "format"
    OWN = "own"


@dataclasses.dataclass(frozen=True)
class Rule:
    """A key, what its value must be, and the test for it; `format_holds` is the format's own where it takes more."""

    key: str
    words: str
    holds: Callable[[Any], bool]
    required: bool = True
    format_holds: Callable[[Any], bool] | None = None

    def admits(self, value: Any, rules: Rules) -> bool:
        return (self.format_holds or self.holds)(value) if rules is Rules.FORMAT else self.holds(value)


def is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_positive(value: Any) -> bool:
    return is_number(value) and 0 < value < math.inf


def is_number_or_null(value: Any) -> bool:
    return value is None or (is_number(value) and math.isfinite(value))


def is_text_list(value: Any) -> bool:
    return isinstance(value, list) and all(is_text(item) for item in value)


def is_filled_text_list(value: Any) -> bool:
    return is_text_list(value) and bool(value)


def is_shape(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(item) is int and item > 0 for item in value)


def is_text_or_list(value: Any) -> bool:
    return is_text(value) or is_text_list(value)


def is_filled_text_or_list(value: Any) -> bool:
    return is_text(value) or is_filled_text_list(value)


def is_written_shape(value: Any) -> bool:
    return is_shape(value) or (isinstance(value, str) and re.fullmatch(_SHAPE, value.strip()) is not None)


def packages(value: str | list[str]) -> tuple[str, ...]:
    """The requirements in a list or in a bare text, as in `-sktime`: a list whose dash lacks its blank."""
    lines = value.splitlines() if isinstance(value, str) else value
    return tuple(name for line in lines if (name := line.strip().removeprefix("-").strip()))


def is_sota(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(
            isinstance(e, dict) and is_text(e.get("sota_paper_url")) and is_number(e.get("sota_score")) for e in value
        )
    )


def is_profiles(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and all(isinstance(item, dict) for item in value.values())


def is_limits(value: Any) -> bool:
    keys = {"check_s", "fit_s", "score_s", "memory_gb"}
    return isinstance(value, dict) and set(value) == keys and all(is_positive(item) for item in value.values())


def is_weights(value: Any) -> bool:
    return (
        isinstance(value, dict) and bool(value) and all(map(is_text, value)) and all(map(is_positive, value.values()))
    )


_SHAPE = r"[(\[]?\s*0*[1-9]\d*\s*(,\s*0*[1-9]\d*\s*)*,?\s*[)\]]?"

TOP = (
    Rule("metric_lower_is_better", "true or false", is_bool),
    Rule("file_export_globs", "a list of file patterns", is_filled_text_list),
    Rule("container_python_requirements", "a list of packages", is_text_list, format_holds=is_text_or_list),
    Rule("evaluate_container_python_requirements", "a list of packages", is_text_list, format_holds=is_text_or_list),
    Rule("prepare_code_python_requirements", "a list of packages", is_text_list, False, is_text_or_list),
    Rule("logging_info", "a mapping", lambda value: isinstance(value, dict)),
    Rule("aira_jax", "a mapping", lambda value: isinstance(value, dict), required=False),
)
LOGGING = (
    *(
        Rule(key, "a text", is_text)
        for key in (
            "name",
            "dataset",
            "category",
            "research_problem",
            "output_type",
            "config",
            "train_split",
            "test_split",
            "metric",
            "dataset_paper_url",
        )
    ),
    Rule("scoring_column", "a text", is_text, format_holds=is_filled_text_or_list),
    Rule("input_columns", "a list of texts", is_filled_text_list),
    Rule("custom_gold_labels", "true or false", is_bool),
    Rule("custom_rad_class", "true or false", is_bool),
    Rule("sota", "a list of entries with sota_paper_url and sota_score (.nan where none exists)", is_sota),
    Rule("shape", "a list of positive integers", is_shape, False, is_written_shape),
    Rule("estimated_worst_score", "a number or null", is_number_or_null, required=False),
    Rule("optimal_score", "a number or null", is_number_or_null, required=False),
)
EXTENSION = (
    Rule("cli", "1 or 2", lambda value: value in (1, 2)),
    Rule("artifact", "the name of the file that a candidate hands in", is_text),
    Rule("editable", "a list of file patterns", is_filled_text_list),
    Rule("starter", "a list of files of the folder starter/", is_text_list),
    Rule("executes_candidate", "true or false", is_bool),
    Rule("isolation", "programs or process", lambda value: value in ("programs", "process"), required=False),
    Rule("exclusive", "true or false", is_bool),
    Rule("entry", "a script name", is_text, required=False),
    Rule("space", "a script name", is_text, required=False),
    Rule("ns_epsilon", "a positive number", is_positive, required=False),
    Rule("validation_is_test", "true or false", is_bool),
    Rule("modules", "a list of module names", is_text_list, required=False),
    Rule("corpus", f"one of {', '.join(sources.KINDS)}, or several joined by +", sources.is_known, required=False),
    Rule("mix", "a mapping from proxies to weights above 0", is_weights, required=False),
    Rule("limits", "positive numbers check_s, fit_s, score_s and memory_gb", is_limits),
    Rule("profiles", "a mapping from profile names to mappings", is_profiles),
    Rule("interface", "a text", is_text),
)


def validate(metadata: Any, name: str, *, rules: Rules = Rules.OWN, source: str = "metadata.yaml") -> None:
    """Raises ValueError that lists every problem of a task's metadata; `name` is the name of its folder."""
    problems = list(_problems(metadata, name, rules))
    if problems:
        raise ValueError(f"{source}:\n" + "\n".join(f"    {problem}" for problem in problems))


def _problems(metadata: Any, name: str, rules: Rules) -> Iterator[str]:
    if not isinstance(metadata, dict):
        yield "must be a mapping"
        return
    yield from _broken(TOP, metadata, "", rules)
    info, extension = metadata.get("logging_info"), metadata.get("aira_jax")
    if isinstance(info, dict):
        yield from _broken(LOGGING, info, "logging_info.", rules)
        yield from _contradictions(metadata, info, name, rules)
    if isinstance(extension, dict):
        yield from _broken(EXTENSION, extension, "aira_jax.", rules)
        yield from _unknown(EXTENSION, extension, "aira_jax.")


def _broken(table: tuple[Rule, ...], values: Mapping[str, Any], prefix: str, rules: Rules) -> Iterator[str]:
    for rule in table:
        if rule.key not in values:
            if rule.required:
                yield f"{prefix}{rule.key} is missing: {rule.words}"
        elif not rule.admits(values[rule.key], rules):
            yield f"{prefix}{rule.key} must be {rule.words}, found {values[rule.key]!r}"


def _unknown(rules: tuple[Rule, ...], values: Mapping[str, Any], prefix: str) -> Iterator[str]:
    known = [rule.key for rule in rules]
    for key in values:
        if key not in known:
            yield f"{prefix}{key} is no known key{choices.hint(key, known)}"


def _contradictions(metadata: Mapping[str, Any], info: Mapping[str, Any], name: str, rules: Rules) -> Iterator[str]:
    if info.get("name") != name:
        yield f"logging_info.name must be the name of the folder, {name}, found {info.get('name')!r}"
    exported = "submission.csv" in (metadata.get("file_export_globs") or [])
    if rules is Rules.FORMAT:
        if exported and "shape" not in info:
            yield "logging_info.shape is required if submission.csv is exported"
        return
    parts = [info.get("research_problem"), info.get("dataset"), info.get("metric")]
    if all(map(is_text, parts)) and "".join(parts) != name:
        yield f"research_problem, dataset and metric must spell the name {name}, they spell {''.join(parts)}"
    if exported != ("shape" in info):
        yield "logging_info.shape is required if and only if submission.csv is exported"
