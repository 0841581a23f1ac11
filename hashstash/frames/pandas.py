"""Collected columns as a pandas DataFrame, with the type for each column that loses nothing.

Integers and booleans among which some are missing become ``Int64`` and ``boolean``; text and times what this pandas takes for
them; what has no common type stays the objects that there were.
"""

from __future__ import annotations

import datetime as dt
import math
from types import NoneType
from typing import TYPE_CHECKING, Any

from hashstash.errors import MissingDependency
from hashstash.frames.columns import ABSENT_TYPE, Column, Columns
from hashstash.frames.folded import without_folded

try:
    import numpy as np
    import pandas as pd
except ImportError as missing:
    raise MissingDependency("a data frame needs the package 'pandas': pip install 'hashstash[dataframe]'") from missing

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hashstash.frames.flat import Row

_EXACT = 1 << 53
"""Integers up to here are floats without a loss."""
_NOTHING = frozenset({NoneType, ABSENT_TYPE, type(pd.NA)})
_PLAIN = frozenset({int, float, bool})
_NUMBERS = (np.integer, np.floating, np.bool_)
_MOMENTS = (dt.datetime, np.datetime64, type(pd.NaT))
_SPANS = (dt.timedelta, np.timedelta64, type(pd.NaT))
_TEXTS = frozenset({str, np.str_})
_TEXT = pd.Index(["text"]).dtype
"""What this pandas takes for text."""


def to_frame(rows: Iterable[Row], index: Sequence[str] = ()) -> Any:
    """A DataFrame of flat *rows*, columns in the order in which they first come; those named by *index* become its index."""
    columns = Columns(index)
    for row in rows:
        columns.add_row(row)
    return frame_of_columns(columns, index)


def frame_of_columns(columns: Columns, index: Sequence[str] = ()) -> Any:
    """The DataFrame of all *columns*; those named by *index* are its levels, in that order."""
    columns.fill_up()
    data = {name: series_of(column) for name, column in columns.by_name.items() if name not in index}
    frame = pd.DataFrame(dict(enumerate(data.values())), index=pd.RangeIndex(columns.length), copy=False)
    frame.columns = _names(list(data))
    if index:
        frame.index = _index_of([(name, columns.column(name)) for name in index])
    return frame


def _names(names: list[str]) -> Any:
    try:
        return pd.Index(names, dtype=_TEXT)
    except UnicodeEncodeError:  # a lone surrogate, for which Arrow has no form
        return pd.Index(names, dtype=object)


# ---- columns -----------------------------------------------------------------------------------------------------


def series_of(column: Column) -> Any:
    """The cells of a column with the type that suits them all."""
    cells = column.cells()
    if cells is not None:
        return _typed(cells)
    joined = _joined(column)
    return _objects(list(joined), set(map(type, joined))) if joined.dtype == object else joined


def _joined(column: Column) -> Any:
    """Columns of frames and arrays behind each other, with what came between them."""
    pieces, positions, row = [], [], 0
    for piece in column.pieces:
        if isinstance(piece, list):
            there = [number for number, cell in enumerate(piece) if type(cell) is not ABSENT_TYPE]
            if there:
                pieces.append(_typed([piece[number] for number in there]))
                positions.append(np.array(there) + row)
        elif len(piece):
            pieces.append(piece if isinstance(piece, pd.Series) else pd.Series(piece, dtype=piece.dtype))
            positions.append(np.arange(row, row + len(piece)))
        row += len(piece)
    whole = pd.concat(pieces, ignore_index=True) if len(pieces) > 1 else pieces[0].reset_index(drop=True)
    if len(whole) == column.length:
        return whole.rename(None)
    whole = whole.rename(None).astype(_with_room(whole.dtype))
    whole.index = np.concatenate(positions)
    return whole.reindex(pd.RangeIndex(column.length))


def _with_room(dtype: Any) -> Any:
    """The type of the same values with room for missing ones."""
    if not isinstance(dtype, np.dtype) or dtype.kind not in "biu":
        return dtype
    return "boolean" if dtype.kind == "b" else f"{'Int' if dtype.kind == 'i' else 'UInt'}{8 * dtype.itemsize}"


def _typed(cells: list[Any]) -> Any:
    """*cells* as a Series of the narrowest type that keeps each of them as it is."""
    kinds = set(map(type, cells))
    bare = kinds - _NOTHING
    has_gaps = len(bare) < len(kinds)
    if bare == {int}:
        return _integers(cells, kinds)
    if bare == {bool}:
        return pd.Series(_with(None, cells), dtype="boolean") if has_gaps else pd.Series(np.array(cells, dtype=bool))
    if bare and bare <= {int, float} and _are_exact(cells, bare):
        return pd.Series(np.array(_with(np.nan, cells) if has_gaps else cells, dtype="float64"))
    if not bare.isdisjoint(_TEXTS) and bare <= {*_TEXTS, float}:
        return _texts(cells, kinds)
    if bare and (_all_are(_MOMENTS, bare) or _all_are(_SPANS, bare)):
        return _times(_with(None, cells) if has_gaps else cells, kinds)
    if bare and _are_numbers(bare) and not bare <= _PLAIN:
        return _typed([cell.item() if isinstance(cell, np.generic) else cell for cell in cells])
    return _objects(cells, kinds)


def _are_numbers(kinds: set[type]) -> bool:
    """Whether all of them are numbers of Python, or of numpy with an equal in Python."""
    return all(kind in _PLAIN or (issubclass(kind, _NUMBERS) and kind is not np.longdouble) for kind in kinds)


def _all_are(bases: tuple[type, ...], kinds: set[type]) -> bool:
    return all(issubclass(kind, bases) for kind in kinds)


def _integers(cells: list[Any], kinds: set[type]) -> Any:
    try:
        return (
            pd.Series(np.array(cells, dtype="int64"))
            if len(kinds) == 1
            else pd.Series(_with(None, cells), dtype="Int64")
        )
    except OverflowError:
        return _objects(cells, kinds)


def _times(cells: list[Any], kinds: set[type]) -> Any:
    try:
        return pd.Series(cells)
    except (ValueError, TypeError, RuntimeError, OverflowError):  # a unit or a year for which pandas has no form
        return _objects(cells, kinds)


def _are_exact(cells: list[Any], kinds: set[type]) -> bool:
    return int not in kinds or all(type(cell) is not int or -_EXACT <= cell <= _EXACT for cell in cells)


def _texts(cells: list[Any], kinds: set[type]) -> Any:
    """Text as this pandas keeps it, if there are only floats beside it that stand for nothing."""
    objects = _objects(cells, kinds)
    if float in kinds and not all(math.isnan(cell) for cell in cells if type(cell) is float):
        return objects
    try:
        return objects.astype(_TEXT)
    except UnicodeEncodeError:  # a lone surrogate, for which Arrow has no form
        return objects


def _objects(cells: list[Any], kinds: set[type] | frozenset[type]) -> Any:
    found = without_folded(cells, kinds)
    found = [np.nan if type(cell) is ABSENT_TYPE else cell for cell in found] if ABSENT_TYPE in kinds else found
    return pd.Series(np.fromiter(found, dtype=object, count=len(found)), dtype=object)


def _with(nothing: Any, cells: list[Any]) -> list[Any]:
    return [nothing if type(cell) in _NOTHING else cell for cell in cells]


# ---- the index ---------------------------------------------------------------------------------------------------


def _index_of(levels: list[tuple[str, Column]]) -> Any:
    found = [_level(name, column) for name, column in levels]
    if len(found) == 1:
        return found[0]
    factors = [_factors(level) for level in found]
    return pd.MultiIndex(
        levels=[values for values, _ in factors],
        codes=[codes for _, codes in factors],
        names=[name for name, _ in levels],
        verify_integrity=False,
    )


def _level(name: str, column: Column) -> Any:
    cells = column.cells()
    if cells is not None:
        cells = without_folded(cells, set(map(type, cells)))
    series = series_of(column) if cells is None else _typed(list(map(_hashable, cells)))
    return pd.Index(series, name=name, tupleize_cols=False)


def _factors(level: Any) -> tuple[Any, Any]:
    """The distinct values of an index level, and which of them stands in each row."""
    if level.dtype != object:
        codes, values = pd.factorize(level)
        return values, codes
    seen: dict[tuple[type, Any], int] = {}  # by type too: to pandas, 1 and True would be one
    codes = [-1 if _is_absent(cell) else seen.setdefault((type(cell), cell), len(seen)) for cell in level]
    return pd.Index(_objects([cell for _, cell in seen], frozenset()), tupleize_cols=False), codes


def _is_absent(cell: Any) -> bool:
    return cell is None or cell is pd.NA or (type(cell) is float and math.isnan(cell))


def _hashable(cell: Any) -> Any:
    """*cell*, or what stands for it in an index, where rows are found by hash: tuples for lists, text for arrays."""
    try:
        hash(cell)
    except Exception:  # noqa: BLE001  the class may be the user's
        if isinstance(cell, (list, tuple)):
            return tuple(map(_hashable, cell))
        if isinstance(cell, (set, frozenset)):
            return frozenset(map(_hashable, cell))
        if isinstance(cell, dict):
            return tuple((_hashable(key), _hashable(value)) for key, value in cell.items())
        return repr(cell)
    return cell
