"""Polars' data types as plain data: a name, or a list of a name and its parameters."""

from __future__ import annotations

from typing import Any

import polars as pl

from hashstash.errors import CorruptEntry, MissingDependency
from hashstash.serializers.hashstash.types import NeedsGraph
from hashstash.serializers.hashstash.types.build import expect, items

SIMPLE = frozenset(
    {
        *("Int8", "Int16", "Int32", "Int64", "Int128", "UInt8", "UInt16", "UInt32", "UInt64", "UInt128"),
        *("Float16", "Float32", "Float64", "Boolean", "String", "Binary", "Date", "Time", "Null"),
    }
)
MAX_DEPTH = 64
"""How deep types may be nested."""
MOST_DIGITS = 38
Categories: Any = getattr(pl, "Categories", None)
"""Younger releases name sets of categories; in older ones a categorical type has an order instead."""


def class_of(dtype: Any) -> type:
    """The class of a data type; older releases give it in place of an instance where there are no parameters."""
    return dtype if isinstance(dtype, type) else type(dtype)


def pack_type(dtype: Any, depth: int = 0) -> Any:
    """A data type as a name, or a name with parameters."""
    name = class_of(dtype).__name__
    if getattr(pl, name, None) is not class_of(dtype) or depth > MAX_DEPTH:
        raise NeedsGraph(dtype, f"is the data type {dtype}, which is not one of polars itself, or nested too deep")
    if name in SIMPLE:
        return name
    if name in _PACKERS:
        return [name, *_PACKERS[name](dtype, depth + 1)]
    raise NeedsGraph(dtype, f"is the data type {dtype}, which is more than data")


def _pack_categorical(dtype: Any, _: int) -> list[Any]:
    if Categories is None:
        return [dtype.ordering, None]
    held = dtype.categories
    if held == Categories():
        return [None, None]
    return [None, [held.name(), held.namespace(), held.physical().__name__]]


_PACKERS: dict[str, Any] = {
    "Datetime": lambda dtype, _: [dtype.time_unit, dtype.time_zone],
    "Duration": lambda dtype, _: [dtype.time_unit],
    "Decimal": lambda dtype, _: [dtype.precision, dtype.scale],
    "Enum": lambda dtype, _: [dtype.categories.to_list()],
    "Categorical": _pack_categorical,
    "List": lambda dtype, depth: [pack_type(dtype.inner, depth)],
    "Array": lambda dtype, depth: [pack_type(dtype.inner, depth), dtype.size],
    "Struct": lambda dtype, depth: [[[field.name, pack_type(field.dtype, depth)] for field in dtype.fields]],
}


def unpack_type(meta: Any, depth: int = 0) -> Any:
    """The data type that :func:`pack_type` was given."""
    if type(meta) is str and meta in SIMPLE:
        return _kind(meta)()
    name, *parameters = meta if type(meta) is list and meta else [meta]
    if type(name) is not str or name not in _UNPACKERS or depth > MAX_DEPTH:
        raise CorruptEntry(f"a stored polars value is of the unknown type {name!r:.80}; delete the entry")
    return _UNPACKERS[name](depth + 1, *parameters)


def _kind(name: str) -> Any:
    found = getattr(pl, name, None)
    if found is None:
        raise MissingDependency(
            f"the stored value holds a polars {name}, which this polars lacks: pip install -U polars"
        )
    return found


def _unpack_categorical(_: int, ordering: Any, categories: Any) -> Any:
    if Categories is None:
        return pl.Categorical(ordering or "lexical")
    if categories is None:
        return pl.Categorical()
    name, namespace, physical = (expect(str, part) for part in items(categories, 3))
    if physical not in {"UInt8", "UInt16", "UInt32"}:
        raise CorruptEntry("stored categories are malformed; delete the entry")
    return pl.Categorical(Categories(name, namespace, _kind(physical)))


def _unpack_array(depth: int, inner: Any, size: Any) -> Any:
    if not 0 <= expect(int, size) < 1 << 31:
        raise CorruptEntry("a stored polars type has a malformed size; delete the entry")
    return pl.Array(unpack_type(inner, depth), size)


def _unpack_struct(depth: int, fields: Any) -> Any:
    pairs = [items(field, 2) for field in expect(list, fields)]
    if len({expect(str, name) for name, _ in pairs}) != len(pairs):
        raise CorruptEntry("a stored polars struct has two fields of one name; delete the entry")
    return pl.Struct([pl.Field(name, unpack_type(kind, depth)) for name, kind in pairs])


def _unpack_decimal(_: int, precision: Any, scale: Any) -> Any:
    if precision is not None and not 1 <= expect(int, precision) <= MOST_DIGITS:
        raise CorruptEntry("a stored polars decimal has a malformed precision; delete the entry")
    return pl.Decimal(precision, expect((int, type(None)), scale))


def _unpack_enum(_: int, categories: Any) -> Any:
    return pl.Enum([expect(str, text) for text in expect(list, categories)])


_UNPACKERS: dict[str, Any] = {
    "Datetime": lambda _, unit, zone: pl.Datetime(unit, expect((str, type(None)), zone)),
    "Duration": lambda _, unit: pl.Duration(unit),
    "Decimal": _unpack_decimal,
    "Enum": _unpack_enum,
    "Categorical": _unpack_categorical,
    "List": lambda depth, inner: pl.List(unpack_type(inner, depth)),
    "Array": _unpack_array,
    "Struct": _unpack_struct,
}


def pack_kind(kind: Any) -> str:
    """A class of data types, such as ``pl.Int64`` without parentheses, as its name."""
    name: str = kind.__name__
    if getattr(pl, name, None) is not kind:
        raise NeedsGraph(kind, "is a class, which is more than data")
    return name


def unpack_kind(meta: Any) -> Any:
    """The class that :func:`pack_kind` was given."""
    kind = _kind(expect(str, meta))
    if not (isinstance(kind, type) and issubclass(kind, pl.DataType)):
        raise CorruptEntry(f"a stored polars type is named {meta!r:.80}, which is no type; delete the entry")
    return kind
