"""Arrow's tables, batches, arrays, scalars, types and buffers. Chunks stay as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from hashstash.errors import CorruptEntry
from hashstash.serializers.hashstash.types import TypeHook
from hashstash.serializers.hashstash.types.arrow_layout import LONGEST, Builder, pack_arrays, pack_scalar
from hashstash.serializers.hashstash.types.arrow_types import (
    pack_field,
    pack_schema,
    pack_type,
    unpack_field,
    unpack_schema,
    unpack_type,
)
from hashstash.serializers.hashstash.types.build import expect, items, plain_hook

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashstash.codec import Buffer

Packed = tuple[Any, list["Buffer"]]


def _kind_of(base: Any) -> Callable[[type], bool]:
    """Matches the classes that pyarrow itself derives from *base*, not those of a user."""
    return lambda kind: issubclass(kind, base) and kind.__module__ == "pyarrow.lib"


def _pack_array(value: Any) -> Packed:
    packed = pack_type(value.type)
    nodes, buffers = pack_arrays([value])
    return [packed, nodes[0]], buffers


def _unpack_array(meta: Any, buffers: list[Buffer]) -> Any:
    packed, node = items(meta, 2)
    kind, builder = unpack_type(packed), Builder(buffers)
    array = builder.array(kind, node)
    builder.finish()
    return array


def _pack_scalar(value: Any) -> Packed:
    packed, node, buffers = pack_scalar(value)
    return [packed, node], buffers


def _unpack_scalar(meta: Any, buffers: list[Buffer]) -> Any:
    array = _unpack_array(meta, buffers)
    if len(array) != 1:
        raise CorruptEntry("a stored Arrow scalar is malformed; delete the entry")
    return array[0]


def _pack_chunked(value: Any) -> Packed:
    packed = pack_type(value.type)
    nodes, buffers = pack_arrays(value.chunks)
    return [packed, nodes], buffers


def _unpack_chunked(meta: Any, buffers: list[Buffer]) -> Any:
    packed, nodes = items(meta, 2)
    builder = Builder(buffers)
    chunked = _chunks(builder, unpack_type(packed), nodes)
    builder.finish()
    return chunked


def _chunks(builder: Builder, kind: Any, nodes: Any) -> Any:
    return pa.chunked_array([builder.array(kind, node) for node in expect(list, nodes)], kind)


def _pack_batch(value: Any) -> Packed:
    packed = pack_schema(value.schema)
    nodes, buffers = pack_arrays(value.columns)
    return [packed, value.num_rows, nodes], buffers


def _unpack_batch(meta: Any, buffers: list[Buffer]) -> Any:
    packed, count, nodes = items(meta, 3)
    schema, builder = unpack_schema(packed), Builder(buffers)
    if not len(schema):
        return _batch_without_columns(schema, count)
    fields = zip(schema, expect(list, nodes), strict=True)
    batch = pa.RecordBatch.from_arrays([builder.array(field.type, node) for field, node in fields], schema=schema)
    builder.finish()
    batch.validate()
    return _counted(batch, count)


def _batch_without_columns(schema: Any, count: Any) -> Any:
    if not 0 <= expect(int, count) <= LONGEST:
        raise CorruptEntry("a stored Arrow table has a malformed number of rows; delete the entry")
    rows = pa.Array.from_buffers(pa.struct([]), count, [None])
    return pa.RecordBatch.from_struct_array(rows).replace_schema_metadata(schema.metadata)


def _counted(table: Any, count: Any) -> Any:
    if table.num_rows != count:
        raise CorruptEntry("a stored Arrow table has another number of rows than it says; delete the entry")
    return table


def _pack_table(value: Any) -> Packed:
    packed = pack_schema(value.schema)
    lengths = [column.num_chunks for column in value.columns]
    nodes, buffers = pack_arrays([chunk for column in value.columns for chunk in column.chunks])
    given = iter(nodes)
    return [packed, value.num_rows, [[next(given) for _ in range(count)] for count in lengths]], buffers


def _unpack_table(meta: Any, buffers: list[Buffer]) -> Any:
    packed, count, columns = items(meta, 3)
    schema, builder = unpack_schema(packed), Builder(buffers)
    if not len(schema) and count:
        return pa.Table.from_batches([_batch_without_columns(schema, count)])
    fields = zip(schema, expect(list, columns), strict=True)
    table = pa.Table.from_arrays([_chunks(builder, field.type, nodes) for field, nodes in fields], schema=schema)
    builder.finish()
    table.validate()
    return _counted(table, count)


def _unpack_buffer(meta: Any, buffers: list[Buffer]) -> Any:
    (memory,) = buffers
    if meta is not None:
        raise CorruptEntry("a stored Arrow buffer is malformed; delete the entry")
    return pa.py_buffer(memory)


_HOOKS = [
    TypeHook("pa.table", lambda kind: kind is pa.Table, _pack_table, _unpack_table),
    TypeHook("pa.batch", lambda kind: kind is pa.RecordBatch, _pack_batch, _unpack_batch),
    TypeHook("pa.chunked", lambda kind: kind is pa.ChunkedArray, _pack_chunked, _unpack_chunked),
    TypeHook("pa.array", _kind_of(pa.Array), _pack_array, _unpack_array),
    TypeHook("pa.scalar", _kind_of(pa.Scalar), _pack_scalar, _unpack_scalar),
    plain_hook("pa.type", _kind_of(pa.DataType), pack_type, unpack_type),
    plain_hook("pa.field", lambda kind: kind is pa.Field, pack_field, unpack_field),
    plain_hook("pa.schema", lambda kind: kind is pa.Schema, pack_schema, unpack_schema),
    TypeHook(
        "pa.buffer",
        lambda kind: kind is pa.Buffer,
        lambda value: (None, [memoryview(value)]),
        _unpack_buffer,
    ),
]
HOOKS = {hook.tag: hook for hook in _HOOKS}
