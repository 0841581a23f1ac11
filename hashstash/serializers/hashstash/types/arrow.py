"""Flat Arrow arrays as their buffers, and the strings of pandas, which share Arrow's layout with or without pyarrow.

Only flat types from a fixed table are data here. What comes in is validated by Arrow in full before anybody looks at
it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from hashstash.errors import CorruptEntry, MissingDependency
from hashstash.serializers.hashstash.types import NeedsGraph
from hashstash.serializers.hashstash.types.build import expect, items

if TYPE_CHECKING:
    from hashstash.codec import Buffer

OFFSETS = np.dtype("<i8")
SIMPLE_TYPES = {
    **{name: name for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")},
    "halffloat": "float16",
    "float": "float32",
    "double": "float64",
    "bool": "bool_",
    **{name: name for name in ("string", "large_string", "binary", "large_binary")},
    "date32[day]": "date32",
    "date64[ms]": "date64",
}
PARAMETRIC_TYPES = ("timestamp", "duration", "time32", "time64", "decimal128")


def arrow() -> Any:
    """The package, which reading an Arrow array needs."""
    try:
        import pyarrow as pa
    except ImportError as error:
        raise MissingDependency(
            "the stored value holds an Arrow array, which needs the package 'pyarrow': "
            "pip install 'hashstash[dataframe]'"
        ) from error
    return pa


def pack_type(kind: Any) -> Any:
    """An Arrow type as a name, or a name with parameters."""
    types = arrow().types
    if str(kind) in SIMPLE_TYPES:
        return str(kind)
    if types.is_timestamp(kind):
        return ["timestamp", kind.unit, *([kind.tz] if kind.tz is not None else [])]
    if types.is_duration(kind):
        return ["duration", kind.unit]
    if types.is_time(kind):
        return [f"time{kind.bit_width}", kind.unit]
    if types.is_decimal128(kind):
        return ["decimal128", kind.precision, kind.scale]
    raise NeedsGraph(kind, f"is of the nested or rare Arrow type {kind}")


def unpack_type(meta: Any) -> Any:
    """The Arrow type that :func:`pack_type` was given."""
    name, *parameters = meta if type(meta) is list else [meta]
    if not parameters and name in SIMPLE_TYPES:
        return getattr(arrow(), SIMPLE_TYPES[name])()
    if name in PARAMETRIC_TYPES:
        return getattr(arrow(), name)(*parameters)
    raise CorruptEntry(f"a stored Arrow array is of the unknown type {name!r:.80}; delete the entry")


def pack_chunked(chunked: Any) -> tuple[list[Any], list[Buffer]]:
    """A chunked array as ``[type, length, which buffers are there]`` and its buffers; one chunk is not copied."""
    packed_type = pack_type(chunked.type)
    array = in_one_piece(chunked)
    buffers = array.buffers()
    present = [buffer is not None for buffer in buffers]
    return [packed_type, len(array), present], [memoryview(buffer) for buffer in buffers if buffer is not None]


def in_one_piece(chunked: Any) -> Any:
    """One array whose buffers begin with its first element, and hold not much else."""
    array = chunked.combine_chunks()
    if hasattr(array, "chunks"):  # older releases of pyarrow give a chunked array back
        array = arrow().concat_arrays(array.chunks) if array.num_chunks != 1 else array.chunk(0)
    held = sum(buffer.size for buffer in array.buffers() if buffer is not None)
    if array.offset or held > 2 * array.nbytes + 4096:
        array = arrow().concat_arrays([array, array.slice(0, 0)])
    return array


def unpack_array(meta: Any, buffers: list[Buffer]) -> Any:
    """The array that :func:`pack_chunked` was given, over the same memory."""
    packed_type, length, present = items(meta, 3)
    if expect(list, present).count(True) != len(buffers):
        raise CorruptEntry("a stored Arrow array lacks buffers; delete the entry")
    kind = unpack_type(packed_type)
    if len(present) != kind.num_buffers or kind.num_fields:
        raise CorruptEntry("a stored Arrow array has another number of buffers than its type; delete the entry")
    pa = arrow()
    given = iter(buffers)
    return _validated(
        pa.Array.from_buffers(kind, length, [pa.py_buffer(next(given)) if is_there else None for is_there in present])
    )


def _validated(array: Any, *, is_in_full: bool = True) -> Any:
    try:
        array.validate(full=is_in_full)
    except arrow().ArrowInvalid as error:
        raise CorruptEntry(f"a stored Arrow array is malformed ({error}); delete the entry") from error
    return array


def pack_strings(chunked: Any) -> tuple[int, list[Buffer]]:
    """Arrow strings as their number, and three buffers: offsets, text, and one bit for each that is not missing."""
    array = in_one_piece(chunked.cast(arrow().large_string()))
    count = len(array)
    validity, offsets, data = array.buffers()
    if not count:
        return 0, [b"", b"", b""]
    ends = np.frombuffer(offsets, OFFSETS)[: count + 1]
    text = memoryview(data)[: int(ends[-1])] if data is not None else b""
    bits = memoryview(validity)[: (count + 7) // 8] if validity is not None else b""
    return count, [ends.view("u1").data, text, bits]


def pack_objects(values: Any, is_missing: Any) -> tuple[int, list[Buffer]] | None:
    """Python's strings in the same layout; ``None`` for text that UTF-8 cannot hold."""
    if not len(values):
        return 0, [b"", b"", b""]
    texts = np.where(is_missing, "", values).tolist()
    try:
        data = "".join(texts).encode()
        ends: Any = np.zeros(len(texts) + 1, OFFSETS)
        np.cumsum(np.fromiter((len(text.encode()) for text in texts), OFFSETS, len(texts)), out=ends[1:])
    except UnicodeEncodeError:
        return None
    bits = np.packbits(~is_missing, bitorder="little").data if is_missing.any() else b""
    return len(texts), [ends.view("u1").data, data, bits]


def unpack_strings(count: Any, buffers: list[Buffer]) -> Any:
    """The strings as an Arrow array over the same memory."""
    pa = arrow()
    offsets, data, bits = buffers
    if not expect(int, count):
        return pa.array([], pa.large_string())
    layout = [pa.py_buffer(bits) if len(bits) else None, pa.py_buffer(offsets), pa.py_buffer(data)]
    array = pa.Array.from_buffers(pa.large_string(), count, layout)
    return _validated(array, is_in_full=not _is_ascii_in_order(offsets, data))


def _is_ascii_in_order(offsets: Buffer, data: Buffer) -> bool:
    """Whether nothing but the outer bounds of the strings remains to be checked: far quicker than Arrow's own look."""
    ends = np.frombuffer(offsets, OFFSETS)
    letters = np.frombuffer(data, "u1")
    return bool((ends[1:] >= ends[:-1]).all()) and (not len(letters) or int(letters.max()) < 0x80)


def unpack_objects(count: Any, buffers: list[Buffer], missing: Any) -> Any:
    """The strings as an array of objects, with *missing* for those that are missing."""
    offsets, data, bits = buffers
    ends = _checked_ends(expect(int, count), offsets, len(data))
    raw = bytes(data)
    text = raw.decode()
    bounds = pairwise(ends)
    if len(text) == len(raw):
        strings = [text[start:end] for start, end in bounds]
    else:
        strings = [raw[start:end].decode() for start, end in bounds]
    values = np.fromiter(strings, object, count)
    if len(bits):
        values[np.unpackbits(np.frombuffer(bits, "u1"), count=count, bitorder="little") == 0] = missing
    return values


def _checked_ends(count: int, offsets: Buffer, size: int) -> list[int]:
    ends = np.frombuffer(offsets, OFFSETS)
    if not count and not len(ends):
        return []
    if len(ends) != count + 1 or ends[0] < 0 or ends[-1] > size or (np.diff(ends) < 0).any():
        raise CorruptEntry("stored strings are malformed: their bounds are not in order; delete the entry")
    bounds: list[int] = ends.tolist()
    return bounds
