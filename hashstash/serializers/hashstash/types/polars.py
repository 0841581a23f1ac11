"""Polars' frames, series, schemas and data types.

Sorted flags and chunks are not kept: polars finds the first again, and means nothing by the second. A lazy frame is a
plan, which may call functions of the user and read files: it is code, and so are expressions and columns of objects.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import polars as pl

from hashstash.errors import CorruptEntry, MissingDependency
from hashstash.serializers.hashstash.types import TypeHook
from hashstash.serializers.hashstash.types.build import expect, items, plain_hook
from hashstash.serializers.hashstash.types.polars_columns import LONGEST, Builder, Packer
from hashstash.serializers.hashstash.types.polars_types import (
    pack_kind,
    pack_type,
    unpack_kind,
    unpack_type,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashstash.codec import Buffer

Packed = tuple[Any, list["Buffer"]]


@contextmanager
def _without_panic() -> Iterator[None]:
    """Within the block, what polars did not expect is an error like any other: its own is no ``Exception``."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise CorruptEntry(f"a stored polars value is malformed ({error!s:.200}); delete the entry") from error


def _pack_series(series: Any) -> Packed:
    dtype, packer = pack_type(series.dtype), Packer()
    return [series.name, dtype, packer.node(series)], packer.buffers


def _unpack_series(meta: Any, buffers: list[Buffer]) -> Any:
    builder = Builder(buffers)
    with _without_panic():
        series = _column(builder, meta)
    builder.finish()
    return series


def _column(builder: Builder, meta: Any) -> Any:
    name, dtype, node = items(meta, 3)
    return builder.column(unpack_type(dtype), node).alias(expect(str, name))


def _pack_frame(frame: Any) -> Packed:
    types = [pack_type(dtype) for dtype in frame.dtypes]
    packer = Packer()
    columns = zip(frame.get_columns(), types, strict=True)
    return [frame.height, [[column.name, dtype, packer.node(column)] for column, dtype in columns]], packer.buffers


def _unpack_frame(meta: Any, buffers: list[Buffer]) -> Any:
    height, packed = items(meta, 2)
    if not 0 <= expect(int, height) < LONGEST:
        raise CorruptEntry("a stored polars frame has a malformed height; delete the entry")
    builder = Builder(buffers)
    with _without_panic():
        columns = [_column(builder, part) for part in expect(list, packed)]
        frame = pl.DataFrame(columns) if columns or not height else _empty_rows(height)
    builder.finish()
    if any(len(column) != height for column in columns):
        raise CorruptEntry("a stored polars frame has another height than its columns; delete the entry")
    return frame


def _empty_rows(height: int) -> Any:
    try:
        return pl.DataFrame(height=height)
    except TypeError as error:
        raise MissingDependency(
            "the stored frame has rows and no columns, which this polars lacks: pip install -U polars"
        ) from error


def _unpack_schema(meta: Any) -> Any:
    pairs = [items(pair, 2) for pair in expect(list, meta)]
    return pl.Schema([(expect(str, name), expect((pl.DataType, type(pl.Int8)), dtype)) for name, dtype in pairs])


_HOOKS = [
    TypeHook("pl.frame", lambda kind: kind is pl.DataFrame, _pack_frame, _unpack_frame),
    TypeHook("pl.series", lambda kind: kind is pl.Series, _pack_series, _unpack_series),
    plain_hook(
        "pl.schema",
        lambda kind: kind is pl.Schema,
        lambda schema: [[name, dtype] for name, dtype in schema.items()],
        _unpack_schema,
    ),
    plain_hook("pl.type", lambda kind: issubclass(kind, pl.DataType), pack_type, unpack_type),
    plain_hook("pl.kind", lambda kind: kind is type(pl.Int8), pack_kind, unpack_kind),
]
HOOKS = {hook.tag: hook for hook in _HOOKS}
