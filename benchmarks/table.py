"""The table that ``python -m benchmarks`` prints, row by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.harness import Row
from benchmarks.systems import OursLmdb, OursPairtree

_FIRST = 44
_CELL = 22
_LAST = 18


def head(systems: Sequence[str]) -> str:
    """The line above the rows."""
    line = "workload, operation".ljust(_FIRST) + "".join(f"{system:>{_CELL}}" for system in systems)
    return line + "  " + "target".ljust(_LAST) + "\n" + "-" * (len(line) + 2 + _LAST)


def line(row: Row, systems: Sequence[str]) -> str:
    """One operation: each system's median, spread and ratio to the yardstick; the target, and whether it is reached."""
    text = f"{row.workload:4} {row.title}: {row.operation}"
    cells = "".join(f"{_cell(row, system):>{_CELL}}" for system in systems)
    return text.ljust(_FIRST) + cells + "  " + "; ".join(_verdicts(row))


def _cell(row: Row, system: str) -> str:
    seconds = row.seconds(system)
    if seconds is None:
        return "-"
    ratio = row.ratio(system)
    shown = "" if ratio is None or system == row.yardstick else f"{_short(ratio)}x"
    return f"{duration(seconds)} ±{100 * row.spread(system):.0f}%{shown:>8}"


def _verdicts(row: Row) -> Iterator[str]:
    for system, limit, label in (
        (OursLmdb.name, row.target.ratio, ""),
        (OursPairtree.name, row.target.pairtree, "pairtree "),
    ):
        reached = row.is_reached(system) if label == "" or limit is not None else None
        if reached is not None:
            wanted = [f"{limit:g}x"] if limit is not None else []
            if row.target.seconds is not None:
                wanted.append(duration(row.target.seconds))
            yield f"{label}<= {', '.join(wanted)} {'reached' if reached else 'MISSED'}"


def _short(ratio: float) -> str:
    return (
        f"{ratio:.3f}"
        if ratio < 0.1
        else f"{ratio:.2f}"
        if ratio < 1
        else f"{ratio:.1f}"
        if ratio < 10
        else f"{ratio:.0f}"
    )


def duration(seconds: float) -> str:
    """Seconds with three digits in a unit that suits them."""
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if abs(seconds) * scale >= 1:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"
