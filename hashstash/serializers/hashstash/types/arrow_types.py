"""Arrow's types, fields and schemas as plain data: a name, or a list of a name and its parameters.

Extension types are code of somebody, so they are never data.
"""

from __future__ import annotations

from typing import Any

from hashstash.errors import CorruptEntry, MissingDependency
from hashstash.imports import installed_only
from hashstash.serializers.hashstash.types import NeedsGraph
from hashstash.serializers.hashstash.types.build import expect, items

SIMPLE_TYPES = {
    **{name: name for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")},
    "halffloat": "float16",
    "float": "float32",
    "double": "float64",
    "bool": "bool_",
    **{name: name for name in ("string", "large_string", "binary", "large_binary")},
    "date32[day]": "date32",
    "date64[ms]": "date64",
    **{name: name for name in ("null", "string_view", "binary_view", "month_day_nano_interval")},
}
PARAMETRIC_TYPES = (
    *("timestamp", "duration", "time32", "time64"),
    *("decimal32", "decimal64", "decimal128", "decimal256"),
)
LISTS = {
    "list": "list_",
    "large_list": "large_list",
    "list_view": "list_view",
    "large_list_view": "large_list_view",
}
MAX_DEPTH = 64
"""How deep Arrow types may be nested."""


def arrow() -> Any:
    """The package, which reading an Arrow array needs."""
    try:
        with installed_only():
            import pyarrow as pa
    except ImportError as error:
        raise MissingDependency(
            "the stored value holds an Arrow array, which needs the package 'pyarrow': "
            "pip install 'hashstash[dataframe]'"
        ) from error
    return pa


def pack_type(kind: Any, depth: int = 0) -> Any:
    """An Arrow type as a name, or a name with parameters."""
    types = arrow().types
    if isinstance(kind, arrow().BaseExtensionType):
        raise NeedsGraph(kind, f"is the extension type {kind}, which is more than data")
    if str(kind) in SIMPLE_TYPES:
        return str(kind)
    if types.is_timestamp(kind):
        return ["timestamp", kind.unit, *([kind.tz] if kind.tz is not None else [])]
    if types.is_duration(kind):
        return ["duration", kind.unit]
    if types.is_time(kind):
        return [f"time{kind.bit_width}", kind.unit]
    if types.is_decimal(kind):
        return [f"decimal{kind.bit_width}", kind.precision, kind.scale]
    if types.is_fixed_size_binary(kind):
        return ["fixed_size_binary", kind.byte_width]
    if depth >= MAX_DEPTH:
        raise NeedsGraph(kind, f"is an Arrow type nested more than {MAX_DEPTH} deep")
    return _pack_nested(kind, depth + 1)


def _pack_nested(kind: Any, depth: int) -> Any:
    types = arrow().types
    if types.is_dictionary(kind):
        return ["dictionary", pack_type(kind.index_type, depth), pack_type(kind.value_type, depth), kind.ordered]
    if types.is_run_end_encoded(kind):
        return ["run_end_encoded", pack_type(kind.run_end_type, depth), pack_type(kind.value_type, depth)]
    if types.is_map(kind):
        fields = [pack_field(field, depth) for field in (kind.key_field, kind.item_field)]
        return ["map", fields, kind.keys_sorted]
    fields = [pack_field(kind.field(number), depth) for number in range(kind.num_fields)]
    if types.is_struct(kind):
        return ["struct", fields]
    if types.is_union(kind):
        return [f"{kind.mode}_union", fields, list(kind.type_codes)]
    if types.is_fixed_size_list(kind):
        return ["fixed_size_list", fields, kind.list_size]
    for name in LISTS:
        if getattr(types, f"is_{name}")(kind):
            return [name, fields]
    raise NeedsGraph(kind, f"is of the unknown Arrow type {kind}")


def pack_field(field: Any, depth: int = 0) -> list[Any]:
    """A field as its name, its type, whether it may be null, and its metadata."""
    return [field.name, pack_type(field.type, depth), field.nullable, _pack_metadata(field.metadata)]


def _pack_metadata(metadata: Any) -> Any:
    return None if metadata is None else [[key, value] for key, value in metadata.items()]


def pack_schema(schema: Any) -> list[Any]:
    """A schema as its fields and its metadata."""
    return [[pack_field(field) for field in schema], _pack_metadata(schema.metadata)]


def unpack_type(meta: Any, depth: int = 0) -> Any:
    """The Arrow type that :func:`pack_type` was given."""
    if type(meta) is str and meta in SIMPLE_TYPES:
        return constructor(SIMPLE_TYPES[meta])()
    name, *parameters = meta if type(meta) is list and meta else [meta]
    if type(name) is str and name in PARAMETRIC_TYPES:
        return constructor(name)(*parameters)
    if name == "fixed_size_binary":
        return arrow().binary(_expect_size(*parameters))
    build = _NESTED.get(name) if type(name) is str else None
    if build is None or depth >= MAX_DEPTH:
        raise CorruptEntry(f"a stored Arrow array is of the unknown type {name!r:.80}; delete the entry")
    return build(depth + 1, *parameters)


def constructor(name: str) -> Any:
    """Arrow's own function of that name, which younger releases alone may have."""
    found = getattr(arrow(), name, None)
    if found is None:
        raise MissingDependency(
            f"the stored value holds an Arrow {name}, which this pyarrow lacks: pip install -U pyarrow"
        )
    return found


def _expect_size(size: Any) -> int:
    if type(size) is not int or not 0 <= size < 1 << 31:
        raise CorruptEntry("a stored Arrow type has a malformed size; delete the entry")
    return size


def _unpack_dictionary(depth: int, index: Any, value: Any, is_ordered: Any) -> Any:
    kinds = unpack_type(index, depth), unpack_type(value, depth)
    return arrow().dictionary(*kinds, ordered=expect(bool, is_ordered))


def _unpack_runs(depth: int, ends: Any, value: Any) -> Any:
    return arrow().run_end_encoded(unpack_type(ends, depth), unpack_type(value, depth))


def _unpack_map(depth: int, fields: Any, is_sorted: Any) -> Any:
    key, item = (unpack_field(field, depth) for field in items(fields, 2))
    return arrow().map_(key, item, keys_sorted=expect(bool, is_sorted))


def _unpack_fixed_list(depth: int, fields: Any, size: Any) -> Any:
    (field,) = items(fields, 1)
    return arrow().list_(unpack_field(field, depth), _expect_size(size))


def _list_of(name: str) -> Any:
    def unpack(depth: int, fields: Any) -> Any:
        (field,) = items(fields, 1)
        return constructor(LISTS[name])(unpack_field(field, depth))

    return unpack


def _union_of(mode: str) -> Any:
    def unpack(depth: int, fields: Any, codes: Any) -> Any:
        parts = [unpack_field(field, depth) for field in expect(list, fields)]
        if len(expect(list, codes)) != len(parts):  # Arrow itself would end the process
            raise CorruptEntry("a stored Arrow union has another number of codes than of types; delete the entry")
        if not all(type(code) is int and 0 <= code < 128 for code in codes) or len(set(codes)) != len(codes):
            raise CorruptEntry("a stored Arrow union has malformed codes; delete the entry")
        return arrow().union(parts, mode, codes)

    return unpack


_NESTED = {
    "dictionary": _unpack_dictionary,
    "run_end_encoded": _unpack_runs,
    "map": _unpack_map,
    "struct": lambda depth, fields: arrow().struct([unpack_field(field, depth) for field in expect(list, fields)]),
    "dense_union": _union_of("dense"),
    "sparse_union": _union_of("sparse"),
    "fixed_size_list": _unpack_fixed_list,
    **{name: _list_of(name) for name in LISTS},
}


def unpack_field(meta: Any, depth: int = 0) -> Any:
    """The field that :func:`pack_field` was given."""
    name, kind, is_nullable, metadata = items(meta, 4)
    return arrow().field(
        expect(str, name),
        unpack_type(kind, depth),
        nullable=expect(bool, is_nullable),
        metadata=_unpack_metadata(metadata),
    )


def _unpack_metadata(meta: Any) -> dict[bytes, bytes] | None:
    if meta is None:
        return None
    pairs = [items(pair, 2) for pair in expect(list, meta)]
    return {expect(bytes, key): expect(bytes, value) for key, value in pairs}


def unpack_schema(meta: Any) -> Any:
    """The schema that :func:`pack_schema` was given."""
    fields, metadata = items(meta, 2)
    return arrow().schema([unpack_field(field) for field in expect(list, fields)], _unpack_metadata(metadata))
