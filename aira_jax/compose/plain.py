"""Values that every reader of JSON knows."""

import math
from typing import Any


def finite(value: Any) -> Any:
    """`value` with null in place of every number that is not finite, in dicts, lists and tuples too."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
