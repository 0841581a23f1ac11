"""What the options of engines may be: a wrong one is told by its name."""

from __future__ import annotations


def seconds(value: object, name: str) -> float:
    """*value* as a number of seconds; in a URL it is text."""
    try:
        found = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        found = 0.0
    if not 0 < found < 1e6:
        raise ValueError(f"{name}={value!r}; it is a positive number of seconds")
    return found


def whole_number(value: object, name: str, *, least: int = 0) -> int:
    """*value* as a number from *least* on."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name}={value!r}; it is a whole number" + (f" from {least:,} on" if least else ""))
    return value


def text(value: object, name: str) -> str:
    """*value*, which may be a secret that no message repeats."""
    if not isinstance(value, str):
        raise TypeError(f"{name}= is text, not {type(value).__name__}")
    return value
