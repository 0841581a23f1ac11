"""Arrow arrays as pandas holds them, and the strings of pandas, which share Arrow's layout with or without pyarrow.

A column of a flat type is one array here; nested ones are chunked arrays of pyarrow (see ``arrow_layout.py``). What
comes in is validated by Arrow in full before anybody looks at it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from hashstash.errors import CorruptEntry
from hashstash.serializers.hashstash.types.arrow_types import arrow, pack_type, unpack_type
from hashstash.serializers.hashstash.types.build import expect, items

if TYPE_CHECKING:
    from hashstash.codec import Buffer

OFFSETS = np.dtype("<i8")
NOT_FLAT = frozenset({"null", "string_view", "binary_view"})
"""Without children, and yet with other buffers in other releases of pyarrow."""


def is_flat(kind: Any) -> bool:
    """Whether a column of this type is stored as the buffers of one array."""
    nested = (arrow().BaseExtensionType, arrow().DictionaryType)
    return kind.num_fields == 0 and not isinstance(kind, nested) and str(kind) not in NOT_FLAT


def pack_chunked(chunked: Any) -> tuple[list[Any], list[Buffer]]:
    """A chunked array as ``[type, length, which buffers are there]`` and its buffers; one chunk is not copied."""
    packed_type = pack_type(chunked.type)
    array = in_one_piece(chunked)
    buffers = array.buffers()
    present = [buffer is not None for buffer in buffers]
    return [packed_type, len(array), present], [memoryview(buffer) for buffer in buffers if buffer is not None]


def in_one_piece(chunked: Any) -> Any:
    """One array whose buffers begin with its first element, and hold not much else."""
    # What is in one chunk already, combine_chunks() would copy.
    array = chunked.chunk(0) if chunked.num_chunks == 1 else chunked.combine_chunks()
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
