"""List prices of language models in US dollars per million tokens: the defaults behind config.llm.prices.

Source: the provider's public price list, copied once; compare it with today's list before a run whose dollars matter,
and override a model with config.llm.prices['<model>'] = {the five columns}. Each class of tokens has a column of its
own, because their ratios differ between models.
"""

import re
from collections.abc import Mapping

COLUMNS = ("input", "cache_write_5m", "cache_write_1h", "cache_read", "output")


def _row(*dollars: float) -> Mapping[str, float]:
    return dict(zip(COLUMNS, dollars, strict=True))


TABLE: Mapping[str, Mapping[str, float]] = {
    "claude-opus-4-5": _row(5.00, 6.25, 10.00, 0.50, 25.00),
    "claude-opus-4-6": _row(5.00, 6.25, 10.00, 0.50, 25.00),
    "claude-opus-4-7": _row(5.00, 6.25, 10.00, 0.50, 25.00),
    "claude-opus-4-8": _row(5.00, 6.25, 10.00, 0.50, 25.00),
    "claude-opus-5": _row(5.00, 6.25, 10.00, 0.50, 25.00),
    "claude-sonnet-4-5": _row(3.00, 3.75, 6.00, 0.30, 15.00),
    "claude-sonnet-4-6": _row(3.00, 3.75, 6.00, 0.30, 15.00),
    "claude-haiku-4-5": _row(1.00, 1.25, 2.00, 0.10, 5.00),
}


def of(model: str, overrides: Mapping[str, Mapping[str, float]] | None = None) -> Mapping[str, float] | None:
    """The price columns of `model`: from `overrides` (config.llm.prices), else from TABLE, else None.

    A dated name (claude-opus-4-5-20251101) has the price of the name without the date.
    An override may be one number for every class of tokens (0 for a model of your own), or `input` and `output` alone:
    a cache then costs what input does. Raises ValueError for another form, or a price that is no number >= 0.
    """
    undated = re.sub(r"-\d{8}$", "", model)
    for table in (overrides or {}, TABLE):
        for name in (model, undated):
            if name in table:
                return _checked(name, table[name])
    return None


def _checked(model: str, row: Mapping[str, float]) -> Mapping[str, float]:
    where = f"config.llm.prices[{model!r}]"
    if isinstance(row, int | float) and not isinstance(row, bool):
        row = dict.fromkeys(COLUMNS, row)
    if not hasattr(row, "items") or not {"input", "output"} <= set(row) <= set(COLUMNS):
        raise ValueError(
            f"{where} needs input and output, and may have {', '.join(COLUMNS[1:4])} (US dollars per million tokens)"
        )
    row = {**dict.fromkeys(COLUMNS, row["input"]), **row}
    for column, dollars in row.items():
        if isinstance(dollars, bool) or not isinstance(dollars, int | float) or not 0 <= dollars < float("inf"):
            raise ValueError(f"{where}.{column}={dollars!r} must be a number of dollars, 0 or more")
    return {column: float(row[column]) for column in COLUMNS}
