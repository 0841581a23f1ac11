"""What one value is as rows: nested dicts become fields whose names are joined by dots, lists and frames become several rows.

Nothing is lost on the way. Of two fields of one name the second is called ``name_2``; what has no fields and is no list stands
under ``_value``; an empty value is one row without fields.
"""

from __future__ import annotations

import dataclasses
import sys
from collections import ChainMap, UserDict
from collections.abc import Callable, Collection, Container, Iterable, Iterator
from functools import lru_cache
from types import MappingProxyType, NoneType
from typing import Any, NamedTuple

from hashstash.frames.columns import ABSENT, ABSENT_TYPE
from hashstash.hollow import is_hollow

_UNITS = {("s", 1), ("ms", 1), ("us", 1), ("ns", 1)}
"""The units of times that pandas knows."""
VALUE = "_value"
INDEX = "_index"
_DEEPEST = 100
_MOST_HOLLOW = 1_000_000
_MOST_AGAIN = 300
"""Fields of a row from dicts that stand in it already: a dict that holds one dict twice, and so on, has no end of them."""
_LONGEST = 500
"""Characters of a name below which dicts are taken apart."""
_DICTS = (dict, UserDict, ChainMap, MappingProxyType)
LEAVES = frozenset({str, int, float, bool, NoneType, bytes, list, tuple, set, frozenset, complex})
"""Types that stay whole in a field; looked at first, since they are what most fields are."""

Row = dict[str, Any]
Fields = Collection[tuple[Any, Any]]
Needed = Callable[[str], bool] | None


class Block(NamedTuple):
    """Some rows by columns: pandas Series, numpy arrays or lists of one length. ``ABSENT`` in a list: no such field."""

    columns: dict[str, Any]
    length: int

    def rows(self) -> list[Row]:
        """The same as rows, of Python's own objects where there are some."""
        names = list(self.columns)
        if not names:
            return [{} for _ in range(self.length)]
        lists = [as_list(column) for column in self.columns.values()]
        rows = (zip(names, row, strict=True) for row in zip(*lists, strict=True))
        if not any(type(column) is list and ABSENT_TYPE in set(map(type, column)) for column in self.columns.values()):
            return list(map(dict, rows))
        return [{name: cell for name, cell in row if cell is not ABSENT} for row in rows]


def flatten(value: Any) -> list[Row]:
    """The rows of *value* as flat dicts.

    A dict, or an instance of a dataclass, a named tuple, an attrs or pydantic class, is one row; the elements of a list or an
    array (along its first axis) and the rows of a frame or a Series are rows each; anything else is ``{"_value": value}``. What
    a field holds stays whole, unless it is a dict again; so does a list in a list, and one dict that stands in a row over and
    over, once it has made three hundred fields more than it has.
    """
    rows: list[Row] = []
    for part in parts_of(value):
        rows.extend(part.rows() if isinstance(part, Block) else (part,))
    return rows


def parts_of(value: Any, is_needed: Needed = None, notice: Callable[[], None] | None = None) -> Iterator[Row | Block]:
    """Rows and blocks of rows, in order, at least one.

    *is_needed* says of an outer field whether to look into it; *notice* is called for a row in which a dict stayed whole.
    """
    if type(value) is dict:
        yield flat_dict(value.items(), is_needed, notice)
    elif isinstance(value, list):
        if not value:
            yield {}
        for element in value:
            yield _part(element, is_needed, notice, frame_of)
    else:
        yield _part(value, is_needed, notice, block_of)


def _part(
    value: Any, is_needed: Needed, notice: Callable[[], None] | None, opened: Callable[[Any], Block | None]
) -> Row | Block:
    if type(value) in LEAVES:
        return {VALUE: value}
    fields = fields_of(value)
    if fields is not None:
        return flat_dict(fields, is_needed, notice)
    try:
        is_left = _is_hollow(value)
        block = None if is_left else opened(value)
    except (ArithmeticError, ValueError, TypeError, RuntimeError):
        is_left, block = True, None  # its package makes no objects of its elements, such as the year 100,000
    if is_left and notice is not None:
        notice()
    if block is None:
        return {VALUE: value}
    return block if block.length else {}


# ---- dicts -------------------------------------------------------------------------------------------------------


def flat_dict(fields: Fields, is_needed: Needed = None, notice: Callable[[], None] | None = None) -> Row:
    """One row of possibly nested *fields*; *notice* is called if one of them stayed whole."""
    row: Row = {}
    opening: _Opening | None = None
    for key, value in fields:
        name = key if type(key) is str else text_of(key)
        if is_needed is not None and not is_needed(name):
            continue
        if type(value) in LEAVES and name not in row:
            row[name] = value
        else:
            opening = opening or _Opening(row)
            opening.add(name, value, ())
    if opening is not None and opening.left_whole and notice is not None:
        notice()
    return row


class _Opening:
    """What is nested in the fields of one row, being taken apart."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self.left_whole = False
        self._met: dict[int, Any] = {}
        self._again = _MOST_AGAIN

    def add(self, name: str, value: Any, above: tuple[int, ...]) -> None:
        """Put a field and what is nested in it into the row; *above* are the dicts around it, which may hold themselves."""
        is_whole = type(value) in LEAVES or id(value) in above or len(above) > _DEEPEST
        nested = None if is_whole else fields_of(value)
        if nested and not self._may_open(name, value, nested):
            self.left_whole = True
            nested = None
        if not nested:
            self.row[free_name(name, self.row)] = value
            return
        for key, inner in nested:
            self.add(f"{name}.{text_of(key)}", inner, (*above, id(value)))

    def _may_open(self, name: str, value: Any, nested: Collection[Any]) -> bool:
        if len(name) > _LONGEST:
            return False
        if id(value) in self._met:
            self._again -= len(nested)
        self._met[id(value)] = value
        return self._again >= 0


def free_name(name: str, taken: Container[str]) -> str:
    """*name*, or the first of ``name_2``, ``name_3``, ... that is not taken."""
    if name not in taken:
        return name
    number = 2
    while f"{name}_{number}" in taken:
        number += 1
    return f"{name}_{number}"


def text_of(key: Any) -> str:
    """The name of a field: its key, if that is text; the parts of a tuple are joined by dots."""
    if isinstance(key, str):
        return str(key)
    if isinstance(key, tuple):
        return ".".join(map(text_of, key))
    return repr(key) if isinstance(key, (bytes, bytearray)) else str(key)


def fields_of(value: Any) -> Fields | None:
    """The fields of a dict or of a record; ``None`` for what has none."""
    if isinstance(value, _DICTS):
        return value.items()
    kind: Any = type(value)
    names = _names_in(kind)
    if names is None:
        return None
    if isinstance(value, tuple):
        return list(zip(names, value, strict=False))
    return [(name, getattr(value, name)) for name in names if hasattr(value, name)]


def has_fields(kind: Any) -> bool:
    """Whether instances of the class *kind* have fields."""
    return issubclass(kind, _DICTS) or _names_in(kind) is not None


@lru_cache(maxsize=256)
def _names_in(kind: type) -> tuple[str, ...] | None:
    """The names of the fields in a class for records; ``None`` if it is none."""
    if issubclass(kind, tuple):
        names = getattr(kind, "_fields", None)
        return names if isinstance(names, tuple) else None
    if dataclasses.is_dataclass(kind):
        return tuple(field.name for field in dataclasses.fields(kind))
    attributes = getattr(kind, "__attrs_attrs__", None)
    if isinstance(attributes, tuple):
        return tuple(attribute.name for attribute in attributes)
    model_fields = getattr(kind, "model_fields", None)
    return tuple(model_fields) if isinstance(model_fields, dict) else None


# ---- frames and arrays -------------------------------------------------------------------------------------------


def block_of(value: Any) -> Block | None:
    """The rows of a frame, a Series or an array; ``None`` for everything else. No package is imported for it."""
    kind: Any = type(value)
    opened = _OPENED.get(_package_of(kind))
    return None if opened is None else opened(value)


def _is_hollow(value: Any) -> bool:
    kind: Any = type(value)
    return kind not in LEAVES and _package_of(kind) in _OPENED and is_hollow(value, _MOST_HOLLOW)


def frame_of(value: Any) -> Block | None:
    """The rows of a frame; ``None`` for everything else, arrays included."""
    return block_of(value) if hasattr(value, "columns") else None


@lru_cache(maxsize=256)
def _package_of(kind: type) -> str:
    """The first package in *kind*'s family that frames come from. A subclass of an array may mean something else by it."""
    packages = [str(base.__module__).partition(".")[0] for base in kind.__mro__]
    return packages[0] if packages[0] == "numpy" else next((name for name in packages if name in _FRAMES), "")


def _of_array(value: Any) -> Block | None:
    numpy = sys.modules["numpy"]
    if not isinstance(value, numpy.ndarray):
        return None
    if not value.ndim:
        return Block({VALUE: [value[()]]}, 1)
    if value.dtype.names and value.ndim == 1:
        named = named_columns((name, value[name]) for name in value.dtype.names)
        return Block({name: _column_of(column) for name, column in named.items()}, len(value))
    return Block({VALUE: _column_of(value)}, len(value))


def _column_of(array: Any) -> Any:
    """A one-dimensional array as it is if pandas has its type; anything else as a list."""
    numpy = sys.modules["numpy"]
    if array.ndim != 1:
        return list(array)
    kind, size = array.dtype.kind, array.dtype.itemsize
    is_time = kind in "mM"
    if is_time and numpy.datetime_data(array.dtype) not in _UNITS:
        return list(array)
    is_number = kind in "biu" or (kind == "f" and size <= 8) or (kind == "c" and size <= 16)
    if isinstance(array, numpy.ma.MaskedArray) or not (is_number or is_time):
        return array.tolist()
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _of_pandas(value: Any) -> Block | None:
    pandas = sys.modules["pandas"]
    if isinstance(value, pandas.DataFrame):
        columns = [(label, value.iloc[:, number]) for number, label in enumerate(value.columns)]
        return Block(_with_index(value.index, columns), len(value))
    if isinstance(value, pandas.Series):
        return Block(_with_index(value.index, [(VALUE if value.name is None else value.name, value)]), len(value))
    if isinstance(value, pandas.MultiIndex):
        return Block(_with_index(value, []), len(value))
    if isinstance(value, (pandas.Index, pandas.api.extensions.ExtensionArray)):
        return Block({VALUE: pandas.Series(value)}, len(value))
    return None


def _with_index(index: Any, columns: list[tuple[Any, Any]]) -> dict[str, Any]:
    """Columns by their names, those of the index before them; without it, if it only counts the rows."""
    pandas = sys.modules["pandas"]
    named = named_columns(columns)
    if isinstance(index, pandas.RangeIndex) and index.start == 0 and index.step == 1 and index.name is None:
        return named
    levels: dict[str, Any] = {}
    for number, label in enumerate(index.names):
        name = free_name(INDEX if label is None else text_of(label), {**named, **levels})
        levels[name] = index.get_level_values(number).to_series()
    return {**levels, **named}


def _of_polars(value: Any) -> Block | None:
    polars = sys.modules["polars"]
    if isinstance(value, polars.DataFrame):
        return Block({column.name: column.to_list() for column in value.get_columns()}, value.height)
    if isinstance(value, polars.Series):
        return Block({value.name or VALUE: value.to_list()}, len(value))
    return None


def _of_arrow(value: Any) -> Block | None:
    pyarrow = sys.modules["pyarrow"]
    if isinstance(value, (pyarrow.Table, pyarrow.RecordBatch)):
        columns = zip(value.schema.names, value.columns, strict=True)
        return Block(named_columns((name, column.to_pylist()) for name, column in columns), value.num_rows)
    if isinstance(value, (pyarrow.Array, pyarrow.ChunkedArray)):
        return Block({VALUE: value.to_pylist()}, len(value))
    return None


def named_columns(columns: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
    """Columns by the text of their labels, the second one of a name with a number."""
    named: dict[str, Any] = {}
    for label, column in columns:
        named[free_name(text_of(label), named)] = column
    return named


def as_list(column: Any) -> list[Any]:
    """The elements of a block's column; bare times stay numpy's, whose integers would mean nothing."""
    if isinstance(column, list):
        return column
    is_bare_time = not hasattr(column, "iloc") and column.dtype.kind in "mM"
    return list(column) if is_bare_time else list(column.tolist())


def taken(column: Any, positions: list[int]) -> Any:
    """The elements of a block's column at *positions*."""
    if isinstance(column, list):
        return [column[position] for position in positions]
    return column.iloc[positions] if hasattr(column, "iloc") else column[positions]


_OPENED: dict[str, Callable[[Any], Block | None]] = {
    "numpy": _of_array,
    "pandas": _of_pandas,
    "polars": _of_polars,
    "pyarrow": _of_arrow,
}
_FRAMES = frozenset(_OPENED) - {"numpy"}
