"""Collected columns as a pyarrow Table, each with the type that Arrow finds for it; text where there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hashstash.errors import MissingDependency
from hashstash.frames.columns import ABSENT_TYPE, Column
from hashstash.frames.flat import as_list
from hashstash.frames.folded import without_folded
from hashstash.wording import shortened

try:
    import pyarrow as pa
except ImportError as missing:
    raise MissingDependency(
        "an Arrow table needs the package 'pyarrow': pip install 'hashstash[dataframe]'"
    ) from missing

if TYPE_CHECKING:
    from hashstash.frames.columns import Columns

_LONGEST = 200
_PANDAS_NOTHING = ("NAType", "NaTType")
_NO_TYPE = (pa.ArrowException, TypeError, ValueError, OverflowError)


def table_of_columns(columns: Columns) -> Any:
    """The Table of all *columns*. What has no Arrow type, such as numbers among text, stands there as text."""
    columns.fill_up()
    if not columns.by_name:
        return pa.table({})
    table = pa.table({name: _array_of(column) for name, column in columns.by_name.items()})
    return table.unify_dictionaries()


def without_extensions(table: Any) -> Any:
    """*table* with the plain columns in which types of others, such as intervals of pandas, are stored."""
    for number, field in enumerate(table.schema):
        if isinstance(field.type, pa.BaseExtensionType):
            chunks = [chunk.storage for chunk in table.column(number).chunks]
            table = table.set_column(number, field.name, pa.chunked_array(chunks, field.type.storage_type))
    return table


def _array_of(column: Column) -> Any:
    column.pieces = [_without_folded(piece) for piece in column.pieces]
    cells = column.cells()
    try:
        return _joined(column.pieces) if cells is None else pa.array(_with_none(cells))
    except _NO_TYPE:
        cells = [cell for piece in column.pieces for cell in as_list(piece)]
        return pa.array([_text(cell) for cell in _with_none(cells)], pa.string())


def _without_folded(piece: Any) -> Any:
    """*piece* itself if nothing in it is folded: Arrow reads more from a Series than from a list of its elements."""
    if type(piece) is list:
        return without_folded(piece, set(map(type, piece)))
    if str(getattr(piece, "dtype", "")) != "object":  # which the types of pandas that have a kind of their own are not
        return piece
    cells = list(piece)
    found = without_folded(cells, set(map(type, cells)))
    if found is cells:
        return piece
    missing = piece.isna() if hasattr(piece, "iloc") else [False] * len(cells)
    return [None if is_missing else cell for cell, is_missing in zip(found, missing, strict=True)]


def _joined(pieces: list[Any]) -> Any:
    """Columns of frames and arrays behind each other, in the type that has room for all of them."""
    tables = [pa.table({"cells": _array_of_piece(piece)}) for piece in pieces if len(piece)]
    return pa.concat_tables(tables, promote_options="permissive").column(0)


def _array_of_piece(piece: Any) -> Any:
    if isinstance(piece, list):
        return pa.array(_with_none(piece))
    is_series = hasattr(piece, "iloc")
    if is_series and hasattr(piece, "sparse"):
        piece = piece.sparse.to_dense()
    return pa.array(piece, from_pandas=is_series)


def _with_none(cells: list[Any]) -> list[Any]:
    """*cells*, with ``None`` for what is not there, and for what pandas says instead of it."""
    nothing = {kind for kind in set(map(type, cells)) if kind is ABSENT_TYPE or kind.__name__ in _PANDAS_NOTHING}
    return [None if type(cell) in nothing else cell for cell in cells] if nothing else cells


def _repr(cell: Any) -> str:
    try:
        return repr(cell)
    except Exception:  # noqa: BLE001  the class may be the user's, the number longer than Python writes
        return shortened(cell, _LONGEST)


def _text(cell: Any) -> str | None:
    if cell is None:
        return None
    text = cell if isinstance(cell, str) else _repr(cell)
    return text.encode("utf-8", "backslashreplace").decode()
