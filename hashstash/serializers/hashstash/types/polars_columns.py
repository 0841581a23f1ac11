"""The columns of polars, taken apart by polars itself, and put together by its constructors.

A column is a *node*, ``[length, whether some are missing, children]``, and its buffers, in the order in which the nodes
stand: one bit for each value that is not missing, if some are; then the numbers, or the lengths of texts and lists. This
needs no pyarrow, although long texts are read faster with it, and nothing that comes in is believed: polars checks
bounds, text and ranges as for any user's values.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from hashstash.errors import CorruptEntry
from hashstash.imports import is_installed
from hashstash.serializers.hashstash.types.arrow_types import arrow
from hashstash.serializers.hashstash.types.build import expect, items
from hashstash.serializers.hashstash.types.polars_types import class_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashstash.codec import Buffer

Node = list[Any]
LONGEST = 1 << 32
"""No column is longer than polars can count."""
MOST_FREE = 1 << 16
"""So many rows of one value may have no bytes: polars needs memory for rows of nothing, too, and ends without it."""
LENGTHS = np.dtype("<u4")
PHYSICAL = {
    **{name: name for name in ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")},
    **{name: name for name in ("Float16", "Float32", "Float64")},
    "Date": "Int32",
    "Time": "Int64",
    "Datetime": "Int64",
    "Duration": "Int64",
}
WIDE = frozenset({"Int128", "UInt128", "Decimal"})
"""Numbers that numpy has no type for; they travel as their text."""
GATHERED = frozenset({"Array", "Categorical", "Enum", "List"})
"""Types whose values are gathered, the missing ones with the others."""
NO_FIELDS = pl.Struct([])
MANY = 10_000
"""Texts from which on it pays to read them by pyarrow, where it is installed."""
IN_PYTHON = not hasattr(pl.Expr.bin, "slice")
"""Older releases cannot cut a text into pieces at given places."""


class _Free:
    """How many more rows may stand there without bytes; of any further ones there is one byte each."""

    def __init__(self) -> None:
        self._rows = MOST_FREE

    def covers(self, rows: int) -> bool:
        self._rows -= rows
        return self._rows >= 0


def _has_no_bytes(dtype: Any, *, has_missing: bool) -> bool:
    """Whether a column of any length would be stored as nothing but its length."""
    is_empty_array = isinstance(dtype, pl.Array) and dtype.size == 0
    return dtype == pl.Null or ((is_empty_array or dtype == NO_FIELDS) and not has_missing)


class Packer:
    """Takes the columns of one value apart."""

    def __init__(self) -> None:
        self.buffers: list[Buffer] = []
        self._free = _Free()

    def node(self, column: Any) -> Node:
        """The node of *column*, whose buffers go to :attr:`buffers`."""
        kind = class_of(column.dtype).__name__
        has_missing = kind != "Null" and column.null_count() > 0
        if _has_no_bytes(column.dtype, has_missing=has_missing) and not self._free.covers(len(column)):
            self._keep(np.zeros(len(column), "u1"))
        if kind == "Null":
            return [len(column), False, []]
        if has_missing:
            self._keep(np.packbits(column.is_not_null().to_numpy(), bitorder="little"))
        return [len(column), has_missing, self._content(kind, column)]

    def _keep(self, values: Any) -> None:
        self.buffers.append(np.ascontiguousarray(values).view("u1").data)

    def _content(self, kind: str, column: Any) -> list[Node]:
        """Keep the content of *column*; return its children."""
        if kind in PHYSICAL:
            self._keep(column.to_physical().fill_null(0).to_numpy())
        elif kind == "Boolean":
            self._keep(np.packbits(column.fill_null(value=False).to_numpy(), bitorder="little"))
        elif kind in {"String", "Binary"}:
            self._keep_texts(column)
        elif kind in WIDE:
            self._keep_texts(column.cast(pl.String))
        elif kind == "Enum":
            self._keep(column.to_physical().fill_null(0).to_numpy().astype(LENGTHS))
        elif kind == "Categorical":
            return [self._categories(column)]
        elif kind == "List":
            self._keep(column.list.len().fill_null(0).to_numpy().astype(LENGTHS))
            return [self.node(column.filter(column.list.len() > 0).explode())]
        elif kind == "Array":
            return [self.node(_elements(column))]
        else:
            return [self.node(part) for part in column.struct.unnest().get_columns()]
        return []

    def _keep_texts(self, column: Any) -> None:
        is_text = column.dtype == pl.String
        lengths = column.str.len_bytes() if is_text else column.bin.size()
        self._keep(lengths.fill_null(0).to_numpy().astype(LENGTHS))
        text = column.str.join("").item().encode() if is_text else b"".join(column.drop_nulls().to_list())
        self.buffers.append(text)

    def _categories(self, column: Any) -> Node:
        """Keep the number of each value among those that occur, in the order that polars has given them."""
        there = column.drop_nulls()
        _, first, numbers = np.unique(there.to_physical().to_numpy(), return_index=True, return_inverse=True)
        codes: Any = np.zeros(len(column), LENGTHS)
        codes[column.is_not_null().to_numpy()] = numbers
        self._keep(codes)
        return self.node(there.gather(first).cast(pl.String))


def _elements(column: Any) -> Any:
    """The elements of fixed-size lists, one after the other, without those of missing lists."""
    if column.dtype.size == 0:
        return pl.Series([], dtype=column.dtype.inner)
    return column.drop_nulls().explode()


class Builder:
    """Puts the columns of one value together."""

    def __init__(self, buffers: list[Buffer]) -> None:
        self._buffers: Iterator[Buffer] = iter(buffers)
        self._free = _Free()

    def finish(self) -> None:
        """Refuse buffers that no column has."""
        if next(self._buffers, None) is not None:
            raise CorruptEntry("a stored polars column has more buffers than its type; delete the entry")

    def column(self, dtype: Any, node: Any) -> Any:
        """The column of type *dtype* that *node* describes."""
        length, has_missing, children = items(node, 3)
        if type(length) is not int or not 0 <= length < LONGEST:
            raise CorruptEntry("a stored polars column has a malformed length; delete the entry")
        kind = type(dtype).__name__
        if _has_no_bytes(dtype, has_missing=expect(bool, has_missing)) and not self._free.covers(length):
            self._numbers(np.dtype("u1"), length)
        if kind == "Null":
            return pl.Series([None], dtype=pl.Null).new_from_index(0, length)
        mask = self._bits(length) if has_missing else None
        column = self._content(kind, dtype, length, mask, expect(list, children))
        if len(column) != length or column.dtype != dtype:
            raise CorruptEntry("a stored polars column has another length or type than it says; delete the entry")
        return column if mask is None or kind in GATHERED or dtype == NO_FIELDS else _masked(column, mask)

    def _content(self, kind: str, dtype: Any, length: int, mask: Any, children: list[Any]) -> Any:
        if kind in PHYSICAL:
            code = getattr(np, PHYSICAL[kind].lower())
            numbers = pl.Series(self._numbers(np.dtype(code).newbyteorder("<"), length))
            return numbers if PHYSICAL[kind] == kind else numbers.cast(dtype)
        if kind == "Boolean":
            return pl.Series(self._bits(length))
        if kind in {"String", "Binary"}:
            return self._texts(length, is_text=kind == "String")
        if kind in WIDE:
            texts = self._texts(length, is_text=True)
            return (texts if mask is None else _masked(texts, mask)).cast(dtype)
        if kind in {"Enum", "Categorical"}:
            return self._coded(dtype, length, mask, children)
        if kind == "List":
            lengths = self._numbers(LENGTHS, length).astype("i8")
            return _lists(dtype, lengths, mask, self.column(dtype.inner, *items(children, 1)))
        if kind == "Array":
            return self._arrays(dtype, length, mask, children)
        return self._structs(dtype, length, mask, children)

    def _next(self) -> Buffer:
        for buffer in self._buffers:
            return buffer
        raise CorruptEntry("a stored polars column lacks buffers; delete the entry")

    def _numbers(self, code: Any, length: int) -> Any:
        data = self._next()
        if len(data) != length * code.itemsize:
            raise CorruptEntry("a stored polars column does not fit its bytes; delete the entry")
        return np.frombuffer(data, code) if length else np.empty(0, code)

    def _bits(self, length: int) -> Any:
        data = self._next()
        if len(data) != (length + 7) // 8:
            raise CorruptEntry("a stored polars column does not fit its bytes; delete the entry")
        bits = np.unpackbits(np.frombuffer(data, "u1"), count=length, bitorder="little") if length else np.empty(0)
        return bits.astype(bool)

    def _texts(self, length: int, *, is_text: bool) -> Any:
        lengths = self._numbers(LENGTHS, length)
        data = self._next()
        ends = np.concatenate([[0], np.cumsum(lengths, dtype="i8")])
        if ends[-1] != len(data):
            raise CorruptEntry("a stored polars column lacks text; delete the entry")
        if length >= MANY and is_installed("pyarrow"):
            return _texts_by_arrow(ends, data, is_text=is_text)
        if IN_PYTHON:
            values = pl.Series([bytes(data[start:end]) for start, end in pairwise(ends.tolist())], dtype=pl.Binary)
        else:
            cut = pl.lit(bytes(data)).bin.slice(pl.Series(ends[:-1]), pl.Series(lengths.astype("u8")))
            values = pl.select(cut).to_series()
        return values.cast(pl.String) if is_text else values

    def _coded(self, dtype: Any, length: int, mask: Any, children: list[Any]) -> Any:
        codes = pl.Series(self._numbers(LENGTHS, length))
        if type(dtype).__name__ == "Enum":
            items(children, 0)
            texts = dtype.categories
        else:
            texts = self.column(pl.String(), *items(children, 1))
        return texts.cast(dtype).gather(codes if mask is None else _masked(codes, mask))

    def _arrays(self, dtype: Any, length: int, mask: Any, children: list[Any]) -> Any:
        elements = self.column(dtype.inner, *items(children, 1))
        if dtype.size == 0:
            made = pl.Series([[]], dtype=dtype).new_from_index(0, length)
            return made if mask is None else _masked(made, mask)
        # A number per list would be large for lists that all miss; there are as many lists as elements, or as bits.
        if len(elements) != dtype.size * (length if mask is None else int(mask.sum())):
            raise CorruptEntry("a stored polars array has another number of elements than it says; delete the entry")
        lengths = np.full(length, dtype.size)
        return _lists(pl.List(dtype.inner), lengths if mask is None else lengths * mask, mask, elements).cast(dtype)

    def _structs(self, dtype: Any, length: int, mask: Any, children: list[Any]) -> Any:
        fields = zip(dtype.fields, children, strict=True)
        parts = [self.column(field.dtype, child).alias(field.name) for field, child in fields]
        if not parts:
            made = pl.Series([{}, None], dtype=dtype)
            return made.new_from_index(0, length) if mask is None else made.gather(pl.Series(~mask).cast(pl.UInt32))
        return pl.DataFrame(parts).to_struct("")


def _texts_by_arrow(ends: Any, data: Buffer, *, is_text: bool) -> Any:
    """The texts of a long column, which polars reads faster from Arrow than from anything else."""
    pa = arrow()
    kind = pa.large_string() if is_text else pa.large_binary()
    array = pa.Array.from_buffers(kind, len(ends) - 1, [None, pa.py_buffer(ends), pa.py_buffer(data)])
    array.validate(full=True)
    return pl.from_arrow(array)


def _masked(column: Any, mask: Any) -> Any:
    """*column*, missing where *mask* is false."""
    return pl.select(pl.when(pl.Series(mask)).then(column)).to_series()


def _lists(dtype: Any, lengths: Any, mask: Any, elements: Any) -> Any:
    """Lists of these *lengths* that *elements* fill, missing where *mask* is false."""
    if int(lengths.sum()) != len(elements):
        raise CorruptEntry("stored polars lists have another number of elements than they say; delete the entry")
    is_filled = lengths > 0
    rows: Any = np.repeat(np.arange(int(is_filled.sum())), lengths[is_filled])
    # Each list is the group of its elements, which are cut, not hashed, since their rows are marked as sorted.
    grouped = pl.DataFrame({"row": pl.Series(rows).set_sorted(), "list": elements})
    lists = grouped.group_by("row", maintain_order=True).agg("list").get_column("list").cast(dtype)
    if len(lists) == len(lengths):
        return lists
    empty = lists.head(1).list.head(0) if len(lists) else pl.Series([[]], dtype=dtype)
    lists = lists.append(empty)
    wanted = pl.Series(np.where(is_filled, np.cumsum(is_filled) - 1, len(lists) - 1))
    return lists.gather(wanted if mask is None else _masked(wanted, mask))
