"""Tables that would be little but empty cells: their rarest columns stand together in one, as dicts.

A table has as many cells as rows times columns, whatever is in them: a thousand rows with a thousand fields each, of which no two
have the same name, are a million columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hashstash.frames.columns import ABSENT, Gap
from hashstash.frames.flat import as_list, free_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from hashstash.frames.columns import Column, Columns

REST = "_rest"
"""The column of what has none of its own."""
_FREE_CELLS = 20_000_000
_CELLS_PER_VALUE = 50
_COLUMN = 200
"""Cells that take as much memory and time as a column without any."""


def fold(columns: Columns, kept: Collection[str]) -> int:
    """Put the rarest of *columns* together into ``_rest`` where there would be too many cells; return how many these were.

    There may be twenty millions, and fifty for each value that there is. Columns that are *kept* are never among them.
    """
    most = _FREE_CELLS + _CELLS_PER_VALUE * sum(column.filled for column in columns.by_name.values())
    room = most // (columns.length + _COLUMN)
    if len(columns.by_name) <= room:
        return 0
    others = [name for name in columns.by_name if name not in kept]  # in their order: a set's is another each time
    by_size = sorted(others, key=lambda name: columns.by_name[name].filled, reverse=True)
    folded = set(by_size[max(0, room - len(kept)) :])
    if not folded:
        return 0
    rest: dict[int, dict[str, Any]] = {}
    for name in [name for name in columns.by_name if name in folded]:
        for row, cell in _cells_of(columns.by_name.pop(name)):
            rest.setdefault(row, {})[name] = cell
    column = columns.column(free_name(REST, columns.by_name))
    for row in sorted(rest):
        column.add_one(row, rest[row])
    return len(folded)


def _cells_of(column: Column) -> Iterator[tuple[int, Any]]:
    """The rows that have such a field, and their cells."""
    row = 0
    for piece in column.pieces:
        if type(piece) is Gap:
            row += piece.length
            continue
        for cell in as_list(piece):
            if cell is not ABSENT:
                yield row, cell
            row += 1
