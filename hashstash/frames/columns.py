"""Rows collected by columns, whatever makes a frame of them in the end.

A column is made of pieces that follow each other: lists of Python objects, and columns of frames and arrays as they came. A row
that has no such field holds ``ABSENT`` there, which is not the same as a stored ``None``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hashstash.frames.flat import Row


class _Absent:
    """The type of ``ABSENT``."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()
ABSENT_TYPE: Final = _Absent


_SHORT_GAP = 16


class Gap(NamedTuple):
    """Rows without a cell, as a piece of a column that is still collected."""

    length: int


class Column:
    """The cells of one field, for the rows up to *length*."""

    def __init__(self) -> None:
        self.pieces: list[Any] = []
        self.length = 0
        self.filled = 0

    def add(self, row: int, piece: Any, length: int) -> None:
        """Put the cells of *length* rows behind those that there are; *row* is the number of the first."""
        cells = self._cells_until(row)
        if isinstance(piece, list):
            cells.extend(piece)
        else:
            self.pieces.append(piece)
        self.length = row + length
        self.filled += length

    def add_one(self, row: int, value: Any) -> None:
        """Put the cell of one row."""
        self._cells_until(row).append(value)
        self.length = row + 1
        self.filled += 1

    def _cells_until(self, row: int) -> list[Any]:
        """The list that ends at *row*; where rows had no such field, there is a gap before it."""
        gap = row - self.length
        if gap > _SHORT_GAP:
            self.pieces.append(Gap(gap))
            self.length = row
        if not self.pieces or type(self.pieces[-1]) is not list:
            self.pieces.append([])
        cells: list[Any] = self.pieces[-1]
        if self.length < row:
            cells.extend([ABSENT] * (row - self.length))
            self.length = row
        return cells

    def fill(self, length: int) -> None:
        """Make the column *length* rows long, with ``ABSENT`` in all gaps."""
        if self.length < length:
            self._cells_until(length)
        pieces: list[Any] = []
        for piece in self.pieces:
            cells = [ABSENT] * piece.length if type(piece) is Gap else piece
            if type(cells) is list and pieces and type(pieces[-1]) is list:
                pieces[-1].extend(cells)
            else:
                pieces.append(cells)
        self.pieces = pieces

    def cells(self) -> list[Any] | None:
        """All cells as one list; ``None`` if some came as a column of a frame or an array."""
        pieces = [piece for piece in self.pieces if type(piece) is not list or piece]
        if any(type(piece) is not list for piece in pieces):
            return None
        return pieces[0] if len(pieces) == 1 else [cell for piece in pieces for cell in piece]


class Columns:
    """A table that grows by rows; columns stand in the order in which they were first seen."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        self.length = 0
        self.by_name: dict[str, Column] = {name: Column() for name in names}

    def column(self, name: str) -> Column:
        """The column of that name, new if there was none."""
        column = self.by_name.get(name)
        if column is None:
            column = self.by_name[name] = Column()
        return column

    def add_row(self, row: Row) -> None:
        """One more row."""
        number = self.length
        for name, value in row.items():
            self.column(name).add_one(number, value)
        self.length = number + 1

    def add_block(self, columns: Mapping[str, Any], length: int) -> None:
        """*length* more rows, given by columns; without rows it brings no columns either."""
        if not length:
            return
        for name, piece in columns.items():
            self.column(name).add(self.length, piece, length)
        self.length += length

    def fill_up(self) -> None:
        """Make all columns as long as the table is."""
        for column in self.by_name.values():
            column.fill(self.length)
