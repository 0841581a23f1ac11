"""Numpy's arrays, scalars, element types and random generators.

An array is the text of its element type, its shape, and its memory as one buffer, never copied if it is in one piece.
It comes back writable, even if it was not: in place where the buffer is writable memory, else as a copy. An array over
a file (``np.memmap``) is stored as its content, and comes back as a ``np.memmap`` over no file. Arrays of objects are
lists of their elements. Element types from a stranger are matched against a pattern before numpy sees them.
"""

# ruff: noqa: SLF001  the parts of a masked array have no public names
from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hashstash.errors import CorruptEntry, UnsupportedValue
from hashstash.serializers.hashstash.types import NeedsGraph, TypeHook
from hashstash.serializers.hashstash.types.build import expect, items, plain_hook
from hashstash.serializers.hashstash.types.numpy_random import RANDOM
from hashstash.serializers.hashstash.types.numpy_values import VALUES, CharArray
from hashstash.serializers.hashstash.types.texts import pack_texts, unpack_texts

if TYPE_CHECKING:
    from hashstash.codec import Buffer

SIMPLE = re.compile(r"[<>|](?:[biufcSUV]\d{1,10}|[mM]8(?:\[\d{0,18}[a-zA-Z]{1,2}\])?|[qQgG])")
StringDType: Any = getattr(getattr(np, "dtypes", None), "StringDType", ())
LARGEST_PADDED = 64 << 20
MOST_PADDING = 200
"""An array with fields may take this much memory, or so many times what its fields do, for gaps between them."""
MOST_OF_NO_WIDTH = 1 << 24
"""Elements that take no memory, of an array that is stored."""
MOST_OF_NO_WIDTH_READ = 1 << 26
"""The same for one that is read: as objects, as pandas may hold them, they take memory."""
SCALARS = frozenset(np.sctypeDict.values()) | {np.record}


def pack_dtype(dtype: Any) -> Any:
    """An element type as plain data: its text, or a list for structured and sub-array types and those with metadata."""
    if dtype.metadata is not None:
        return ["noted", pack_dtype(_without_metadata(dtype)), dict(dtype.metadata)]
    if dtype.fields is not None:
        fields = [_pack_field(name, *dtype.fields[name]) for name in dtype.names]
        return ["fields", fields, dtype.itemsize, dtype.isalignedstruct, _is_record(dtype)]
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return ["sub", pack_dtype(base), list(shape)]
    if dtype.kind == "O":
        return "O"
    if StringDType and isinstance(dtype, StringDType):
        return ["text", dtype.coerce, [dtype.na_object] if hasattr(dtype, "na_object") else []]
    for text in (dtype.str, dtype.str[0] + dtype.char):  # C's long long is a type of its own, as large as another
        if SIMPLE.fullmatch(text) and np.dtype(text) == dtype and np.dtype(text).type is dtype.type:
            return text
    raise NeedsGraph(dtype, f"is the element type {dtype!r}, which numpy itself does not have")


def _without_metadata(dtype: Any) -> Any:
    """The same element type without metadata of its own; its fields keep theirs."""
    if dtype.fields is not None:
        names = list(dtype.names)
        fields = [dtype.fields[name] for name in names]
        plain = {
            "names": names,
            "titles": [field[2] if len(field) > 2 else None for field in fields],
            "formats": [field[0] for field in fields],
            "offsets": [field[1] for field in fields],
            "itemsize": dtype.itemsize,
        }
        made = np.dtype(plain, align=dtype.isalignedstruct)
        return np.dtype((np.record, made)) if dtype.type is np.record else made
    if dtype.subdtype is not None:
        return np.dtype(dtype.subdtype)
    made = np.dtype(dtype.str) if dtype.kind != "O" else np.dtype("O")
    if made.metadata is not None or made != dtype:
        raise NeedsGraph(dtype, "is an element type with metadata that cannot be told from it")
    return made


def _pack_field(name: str, dtype: Any, offset: int, title: Any = None) -> list[Any]:
    return [name, title, pack_dtype(dtype), offset]


def _is_record(dtype: Any) -> bool:
    if dtype.type not in {np.void, np.record}:
        raise NeedsGraph(dtype, "is an element type with a class of its own")
    return dtype.type is np.record


def unpack_dtype(meta: Any) -> Any:
    """The element type that :func:`pack_dtype` was given."""
    if type(meta) is str:
        if meta != "O" and not SIMPLE.fullmatch(meta):
            raise CorruptEntry(f"a stored array has the malformed element type {meta!r:.80}; delete the entry")
        return np.dtype(meta)
    kind, *rest = expect(list, meta)
    if kind == "fields":
        return _unpack_fields(*rest)
    if kind == "sub":
        base, shape = rest
        return np.dtype((unpack_dtype(base), tuple(expect(list, shape))))
    if kind == "noted":
        base, metadata = rest
        return np.dtype(unpack_dtype(base), metadata=expect(dict, metadata))
    if kind == "text" and StringDType:
        coerce, missing = rest
        return StringDType(coerce=coerce, **({"na_object": missing[0]} if missing else {}))
    raise CorruptEntry(f"a stored array has an element type of the unknown kind {kind!r:.80}; delete the entry")


def _unpack_fields(fields: Any, itemsize: Any, is_aligned: Any, is_record: Any) -> Any:
    names, titles, formats, offsets = zip(*(items(field, 4) for field in fields), strict=True) if fields else ((),) * 4
    parts = [unpack_dtype(part) for part in formats]
    if type(itemsize) is not int or not all(
        type(offset) is int and 0 <= offset <= itemsize - part.itemsize
        for offset, part in zip(offsets, parts, strict=True)
    ):  # numpy adds offset and size in 32 bits, and takes what overflows for a field within the element
        raise CorruptEntry("a stored array has a field outside of its elements; delete the entry")
    dtype = np.dtype(
        {
            "names": list(names),
            "titles": list(titles),
            "formats": parts,
            "offsets": list(offsets),
            "itemsize": itemsize,
        },
        align=is_aligned,
    )
    if list(dtype.names or ()) != list(names) or dtype.itemsize != itemsize:
        raise CorruptEntry("a stored array has a malformed structured element type; delete the entry")
    return np.dtype((np.record, dtype)) if is_record else dtype


def pack_array(value: Any) -> tuple[Any, list[Buffer]]:
    """An array as ``[dtype, shape, order, elements]`` and its memory; *elements* is ``None`` but for objects."""
    array = value.view(np.ndarray) if type(value) is not np.ndarray else value
    order: Literal["C", "F"] = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    dtype = pack_dtype(array.dtype)
    head = [dtype, list(array.shape), order]
    if array.dtype.hasobject or (type(dtype) is list and dtype[0] == "text"):
        return _pack_objects(array, head)
    if not array.nbytes:
        if array.size > MOST_OF_NO_WIDTH:
            raise UnsupportedValue(f"an array of {array.size:,} elements of no width is not stored; store its shape")
        return [*head, None], [b""]
    return [*head, None], [memory_of(array, order)]


def memory_of(array: Any, order: Literal["C", "F"] = "C") -> memoryview:
    """The bytes of an array, without a copy if it is in one piece."""
    memory: memoryview = np.asarray(array, order=order).reshape(-1, order=order).view("u1").data
    return memory


def _pack_objects(array: Any, head: list[Any]) -> tuple[Any, list[Buffer]]:
    if array.dtype.names is not None:
        return [*head, ["fields", [array[name] for name in array.dtype.names]]], []
    elements = array.ravel(order=head[2]).tolist()
    texts = pack_texts(elements)
    if texts is None:
        return [*head, ["list", elements]], []
    meta, buffers = texts
    return [*head, ["texts", meta]], buffers


def unpack_array(meta: Any, buffers: list[Buffer]) -> Any:
    """The array that :func:`pack_array` was given; its sizes are checked against the memory that is there."""
    packed_dtype, shape, order, elements = items(meta, 4)
    dtype = unpack_dtype(packed_dtype)
    shape = tuple(expect(list, shape))
    if not all(type(length) is int and length >= 0 for length in shape) or order not in {"C", "F"}:
        raise CorruptEntry("a stored array has a malformed shape; delete the entry")
    if elements is not None:
        return _unpack_objects(dtype, shape, order, elements, buffers)
    (buffer,) = buffers
    size = math.prod(shape)
    if dtype.hasobject or dtype.subdtype is not None or size * dtype.itemsize != len(buffer):
        raise CorruptEntry(f"a stored array of shape {shape} does not fit its {len(buffer)} bytes; delete the entry")
    if not len(buffer) and size > MOST_OF_NO_WIDTH_READ:
        raise CorruptEntry(f"a stored array has {size:,} elements of no width; delete the entry")
    if not len(buffer):  # numpy.empty would give each of any number of texts of no width a width
        return np.ndarray(shape, dtype, bytearray(), order=order)
    array = np.ndarray(shape, dtype, buffer, order=order)
    return array if array.flags.writeable else array.copy(order)


def _unpack_objects(dtype: Any, shape: tuple[int, ...], order: Any, elements: Any, buffers: list[Buffer]) -> Any:
    kind, content = items(elements, 2)
    if kind == "fields":
        return _unpack_columns(dtype, shape, order, content)
    values = unpack_texts(content, buffers) if kind == "texts" else expect(list, content)
    if kind not in {"texts", "list"} or dtype.names is not None or math.prod(shape) != len(values):
        raise CorruptEntry("a stored array of objects is malformed; delete the entry")
    if dtype.kind == "O":
        flat = np.fromiter(values, dtype, len(values))
    elif StringDType and isinstance(dtype, StringDType):
        flat = np.array(values, dtype) if values else np.empty(0, dtype)
    else:  # such as text of a fixed width, of which a few bytes here could ask for any amount of memory
        raise CorruptEntry("a stored array of objects has elements of another type; delete the entry")
    if flat.ndim != 1:
        raise CorruptEntry("a stored array of objects is malformed; delete the entry")
    return flat.reshape(shape, order=order)


def _unpack_columns(dtype: Any, shape: tuple[int, ...], order: Any, columns: Any) -> Any:
    names = dtype.names or ()
    for name, column in zip(names, expect(list, columns), strict=True):
        if type(column) is not np.ndarray or column.shape[: len(shape)] != shape:
            raise CorruptEntry(f"the field {name!r} of a stored array is malformed; delete the entry")
    if not names:
        raise CorruptEntry("a stored array of objects has no fields; delete the entry")
    if math.prod(shape) * dtype.itemsize > max(LARGEST_PADDED, MOST_PADDING * sum(column.nbytes for column in columns)):
        raise CorruptEntry("a stored array claims far more memory than its fields fill; delete the entry")
    array = np.empty(shape, dtype, order)
    for name, column in zip(names, columns, strict=True):
        array[name] = column
    return array


def _viewed_as(kind: type) -> Any:
    def unpack(meta: Any, buffers: list[Buffer]) -> Any:
        return unpack_array(meta, buffers).view(kind)

    return unpack


def _pack_masked(value: Any) -> list[Any]:
    if value.baseclass is not np.ndarray or value._optinfo:
        raise NeedsGraph(value, "is a masked array with more than data and mask")
    mask = None if value.mask is np.ma.nomask else value.mask
    return [value.data, mask, value._fill_value, value.hardmask]


def _unpack_masked(meta: Any) -> Any:
    data, mask, fill, is_hard = items(meta, 4)
    expect(np.ndarray, data)
    expect((np.ndarray, type(None)), mask)
    if mask is not None and mask.shape != data.shape:  # numpy would repeat it, for any number of elements
        raise CorruptEntry("a stored masked array has a mask of another shape; delete the entry")
    array = np.ma.MaskedArray(data, mask=np.ma.nomask if mask is None else mask, hard_mask=is_hard, copy=False)
    if fill is not None:
        array.fill_value = fill
    return array


def _pack_scalar(value: Any) -> list[Any]:
    if type(value) is np.str_:  # numpy drops zeros at the end of text in an array
        return ["U", str.__str__(value)]
    if type(value) is np.bytes_:
        return ["S", b"".join([value])]
    if value.dtype.hasobject:
        raise NeedsGraph(value, "is a structured scalar that holds objects")
    return [pack_dtype(value.dtype), value.tobytes()]


def _unpack_scalar(meta: Any) -> Any:
    dtype, data = items(meta, 2)
    if dtype in ("U", "S"):
        return np.str_(expect(str, data)) if dtype == "U" else np.bytes_(expect(bytes, data))
    made = unpack_dtype(dtype)
    if made.hasobject or made.itemsize != len(expect(bytes, data)):
        raise CorruptEntry("a stored numpy scalar does not fit its bytes; delete the entry")
    return (np.ndarray((), made, data) if data else np.empty((), made)).copy()[()]


_HOOKS = [
    TypeHook("np.nd", lambda kind: kind is np.ndarray, pack_array, unpack_array),
    TypeHook("np.matrix", lambda kind: kind is np.matrix, pack_array, _viewed_as(np.matrix)),
    TypeHook("np.rec", lambda kind: kind is np.recarray, pack_array, _viewed_as(np.recarray)),
    TypeHook("np.memmap", lambda kind: kind is np.memmap, pack_array, _viewed_as(np.memmap)),
    TypeHook("np.chars", lambda kind: kind is CharArray, pack_array, _viewed_as(CharArray)),
    plain_hook("np.masked", lambda kind: kind is np.ma.MaskedArray, _pack_masked, _unpack_masked),
    plain_hook("np.mask", lambda kind: kind is type(np.ma.masked), lambda _: None, lambda _: np.ma.masked),
    plain_hook("np.scalar", lambda kind: kind in SCALARS, _pack_scalar, _unpack_scalar),
    plain_hook("np.dtype", lambda kind: issubclass(kind, np.dtype), pack_dtype, unpack_dtype),
    *RANDOM,
    *VALUES,
]
HOOKS = {hook.tag: hook for hook in _HOOKS}
