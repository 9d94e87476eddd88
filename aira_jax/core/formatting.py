"""How quantities are written in reports."""

AXES = {"steps": "steps", "wall_s": "wall", "device_s": "device", "tokens": "tokens", "usd": "USD"}


def number(value: float | None) -> str:
    """A score: four decimals, or a dash for none."""
    return "–" if value is None else f"{value:.4f}"


def seconds(value: float) -> str:
    if value < 60:
        return f"{value:.1f} s"
    if value < 3600:
        return f"{int(value // 60)}:{int(value % 60):02d} min"
    return f"{int(value // 3600)}:{int(value % 3600 // 60):02d} h"


def dollars(value: float | None) -> str:
    if value is None:
        return "unpriced"
    return f"${value:,.2f}" if value >= 1 else f"${value:.4f}" if value else "$0"


def amount(axis: str, value: float | None) -> str:
    """A quantity of one budget axis; no price known is `unpriced`."""
    if value is None:
        return "unpriced"
    if axis == "usd":
        return dollars(value)
    return seconds(value) if axis in ("wall_s", "device_s") else f"{value:,.0f}"


def spent_of(axis: str, spent: float | None, limit: float | None) -> str:
    """`8 / 12`, `41.0 s / 5:00 min`: what was spent on an axis, and its limit where there is one."""
    return amount(axis, spent) if limit is None else f"{amount(axis, spent)} / {amount(axis, limit)}"
