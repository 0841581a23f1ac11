"""Arrow arrays of every type, taken apart into the buffers of the Arrow format and put together again.

An array is a *node*, ``[length, which buffers are there, children]``, and its buffers, in the order in which the nodes
stand. Buffers hold what the array shows and nothing else: a slice is stored as if it had never been more, and what is
in one piece is not copied. Views of text are stored as text with offsets, since only that says what belongs to them. A
dictionary that several arrays share is stored once: the others have its number in the place of its node.

What a stranger wrote is validated by Arrow in full before anybody looks at it. Where Arrow itself would end the process
instead of raising an error, we look first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hashstash.errors import CorruptEntry, UnsupportedValue
from hashstash.serializers.hashstash.types.arrow_types import arrow, pack_type
from hashstash.serializers.hashstash.types.build import expect, items

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashstash.codec import Buffer

Node = list[Any]
LONGEST = 1 << 40
"""No array is longer: some types need no memory for any length."""
_WIDE = ("large_string", "large_binary", "large_list", "large_list_view")


class Packer:
    """Takes the arrays of one value apart."""

    def __init__(self) -> None:
        self.buffers: list[Buffer] = []
        self._dictionaries: dict[Any, int] = {}

    def node(self, array: Any) -> Node:
        """The node of *array*, whose buffers go to :attr:`buffers`."""
        kind, types = array.type, arrow().types
        if types.is_null(kind):
            return [len(array), [], []]
        if types.is_dictionary(kind):
            return [*self._flat(array.indices)[:2], [self._dictionary(array.dictionary)]]
        if types.is_run_end_encoded(kind):
            return self._runs(array)
        if types.is_union(kind):
            return self._union(array)
        if types.is_string_view(kind) or types.is_binary_view(kind):
            return self._flat(array.cast(_stored_type(kind)))
        return self._nested(array) if kind.num_fields else self._flat(array)

    def _keep(self, buffer: Any, start: int = 0, size: int | None = None) -> bool:
        """Keep that part of *buffer*; return whether there is a buffer."""
        if buffer is None:
            return False
        if hasattr(buffer, "is_cpu"):
            if not buffer.is_cpu:
                raise UnsupportedValue("an Arrow array in the memory of another device cannot be stored; copy it first")
            size = buffer.size - start if size is None else size
            buffer = memoryview(buffer if (start, size) == (0, buffer.size) else buffer.slice(start, size))
        self.buffers.append(buffer)
        return True

    def _validity(self, array: Any) -> bool:
        if array.null_count == 0:
            return False
        start, size = array.offset, (len(array) + 7) // 8
        if start % 8 == 0:
            return self._keep(array.buffers()[0], start // 8, size)
        return self._keep(array.is_valid().buffers()[1], 0, size)

    def _flat(self, array: Any) -> Node:
        """An array without children: numbers, moments, bits, or text with offsets."""
        kind, types, length = array.type, arrow().types, len(array)
        present = [self._validity(array)]
        if types.is_boolean(kind):
            present.append(self._bits(array))
        elif kind.num_buffers == 3:
            first, last, kept = self._offsets(array)
            present += [kept, self._keep(array.buffers()[2] or b"", *_span(array.buffers()[2], first, last))]
        elif kind.num_buffers == 2:
            width = kind.bit_width // 8
            present.append(self._keep(array.buffers()[1], array.offset * width, length * width))
        return [length, present, []]

    def _bits(self, array: Any) -> bool:
        start, data = array.offset, array.buffers()[1]
        size = (len(array) + 7) // 8
        if start % 8 == 0:
            return self._keep(data, start // 8, size)
        bits = np.unpackbits(np.frombuffer(data, "u1"), count=start + len(array), bitorder="little")[start:]
        return self._keep(np.packbits(bits, bitorder="little").data)

    def _offsets(self, array: Any) -> tuple[int, int, bool]:
        """Keep offsets that begin with zero; return which part of the content they mean."""
        width = 8 if _is_wide(array.type) else 4
        start, count = array.offset, len(array) + 1
        data = array.buffers()[1]
        if not len(array) or data is None:
            return 0, 0, self._keep(b"")
        ends = np.frombuffer(data, f"<i{width}")[start : start + count]
        first, last = int(ends[0]), int(ends[-1])
        if first == 0:
            return first, last, self._keep(data, start * width, count * width)
        return first, last, self._keep((ends - ends[0]).view("u1").data)

    def _nested(self, array: Any) -> Node:
        kind, types, length = array.type, arrow().types, len(array)
        present = [self._validity(array)]
        if types.is_struct(kind):
            return [length, present, [self.node(array.field(number)) for number in range(kind.num_fields)]]
        if types.is_fixed_size_list(kind):
            size = kind.list_size
            return [length, present, [self.node(array.values.slice(array.offset * size, length * size))]]
        if types.is_list_view(kind) or types.is_large_list_view(kind):
            first, last, kept = self._views(array)
        else:
            first, last, one = self._offsets(array)
            kept = [one]
        return [length, present + kept, [self.node(array.values.slice(first, last - first))]]

    def _views(self, array: Any) -> tuple[int, int, list[bool]]:
        """Keep the offsets and sizes of a list view, from the first element that a list shows."""
        code, part = "<i8" if _is_wide(array.type) else "<i4", slice(array.offset, array.offset + len(array))
        if not len(array):
            return 0, 0, [self._keep(b""), self._keep(b"")]
        starts, sizes = (np.frombuffer(buffer, code)[part] for buffer in array.buffers()[1:3])
        is_used = (sizes > 0) & array.is_valid().to_numpy(zero_copy_only=False)
        first = int(starts[is_used].min()) if is_used.any() else 0
        last = int((starts + sizes)[is_used].max()) if is_used.any() else 0
        parts = np.where(is_used, starts - first, 0), np.where(is_used, sizes, 0)
        return first, last, [self._keep(np.ascontiguousarray(part, code).view("u1").data) for part in parts]

    def _dictionary(self, dictionary: Any) -> Any:
        """The node of a dictionary, or the number of an earlier one that lies in the same memory."""
        places = [buffer and (buffer.address, buffer.size) for buffer in dictionary.buffers()]
        key = (str(dictionary.type), len(dictionary), dictionary.offset, *places)
        if key in self._dictionaries:
            return self._dictionaries[key]
        node = self.node(dictionary)
        self._dictionaries[key] = len(self._dictionaries)
        return node

    def _runs(self, array: Any) -> Node:
        length, first, count = len(array), array.find_physical_offset(), array.find_physical_length()
        ends = array.run_ends.slice(first, count).to_numpy() - array.offset
        ends = np.minimum(ends, length).astype(array.type.run_end_type.to_pandas_dtype())
        return [length, [], [self.node(arrow().array(ends)), self.node(array.values.slice(first, count))]]

    def _union(self, array: Any) -> Node:
        kind, length = array.type, len(array)
        # The properties that show codes and offsets forget that an array may be a slice.
        start, part = array.offset, slice(array.offset, array.offset + length)
        self._keep(array.buffers()[1], start, length)
        children = [array.field(number) for number in range(kind.num_fields)]
        if kind.mode == "sparse":
            return [length, [False, True], [self.node(child) for child in children]]
        codes, offsets = (
            np.frombuffer(memory or b"", code)[part]
            for memory, code in zip(array.buffers()[1:3], ("i1", "<i4"), strict=True)
        )
        parts = []
        moved: Any = np.zeros(length, "<i4")
        for code, child in zip(kind.type_codes, children, strict=True):
            is_here = codes == code
            first = int(offsets[is_here].min()) if is_here.any() else 0
            last = int(offsets[is_here].max()) + 1 if is_here.any() else 0
            moved[is_here] = offsets[is_here] - first
            parts.append(child.slice(first, last - first))
        self._keep(moved.view("u1").data)
        return [length, [False, True, True], [self.node(part) for part in parts]]


def _span(buffer: Any, first: int, last: int) -> tuple[int, int]:
    return (first, last - first) if buffer is not None else (0, 0)


def _is_wide(kind: Any) -> bool:
    return str(kind).startswith("large_")


def _stored_type(kind: Any) -> Any:
    """The type with offsets in which views of text are stored."""
    pa = arrow()
    return pa.large_string() if pa.types.is_string_view(kind) else pa.large_binary()


class Builder:
    """Puts the arrays of one value together."""

    def __init__(self, buffers: list[Buffer]) -> None:
        self._buffers: Iterator[Buffer] = iter(buffers)
        self._dictionaries: list[Any] = []

    def array(self, kind: Any, node: Any) -> Any:
        """The array of type *kind* that *node* describes, validated."""
        array = self._build(kind, node)
        if not arrow().types.is_dictionary(kind):  # looked at while it was built: others may share its dictionary
            array.validate(full=True)
        return array

    def finish(self) -> None:
        """Refuse buffers that no array has."""
        if next(self._buffers, None) is not None:
            raise CorruptEntry("a stored Arrow array has more buffers than its type; delete the entry")

    def _build(self, kind: Any, node: Any) -> Any:
        pa = arrow()
        types = pa.types
        length, present, children = items(node, 3)
        if type(length) is not int or not 0 <= length <= LONGEST:
            raise CorruptEntry("a stored Arrow array has a malformed length; delete the entry")
        if types.is_null(kind):
            return pa.Array.from_buffers(kind, length, [None])
        if types.is_dictionary(kind):
            return self._build_dictionary(kind, length, present, *items(children, 1))
        if types.is_run_end_encoded(kind):
            return self._build_runs(kind, length, *items(children, 2))
        if types.is_string_view(kind) or types.is_binary_view(kind):
            stored = self._from_buffers(_stored_type(kind), length, present, items(children, 0))
            stored.validate(full=True)
            return stored.cast(kind)
        fields = [kind.field(number).type for number in range(kind.num_fields)]
        own = self._take(kind, present)
        parts = [self._build(field, child) for field, child in zip(fields, expect(list, children), strict=True)]
        if types.is_map(kind):
            _check_entries(*parts)
        return pa.Array.from_buffers(kind, length, own, children=parts)

    def _take(self, kind: Any, present: Any) -> list[Any]:
        pa = arrow()
        if len(expect(list, present)) != kind.num_buffers or (pa.types.is_union(kind) and present[0] is not False):
            raise CorruptEntry("a stored Arrow array has another number of buffers than its type; delete the entry")
        return [pa.py_buffer(next(self._buffers)) if expect(bool, is_there) else None for is_there in present]

    def _from_buffers(self, kind: Any, length: int, present: Any, children: list[Any]) -> Any:
        expect(list, children)
        return arrow().Array.from_buffers(kind, length, self._take(kind, present))

    def _build_dictionary(self, kind: Any, length: int, present: Any, child: Any) -> Any:
        pa = arrow()
        indices = self._from_buffers(kind.index_type, length, present, [])
        indices.validate(full=True)
        if type(child) is int:
            if not 0 <= child < len(self._dictionaries):
                raise CorruptEntry("a stored Arrow array names a dictionary that is not there; delete the entry")
            dictionary = self._dictionaries[child]
        else:
            dictionary = self.array(kind.value_type, child)
            self._dictionaries.append(dictionary)
        if dictionary.type != kind.value_type:
            raise CorruptEntry("a stored Arrow array has a dictionary of another type; delete the entry")
        _check_bounds(indices, len(dictionary))
        return pa.DictionaryArray.from_arrays(indices, dictionary, ordered=kind.ordered, safe=False)

    def _build_runs(self, kind: Any, length: int, ends_node: Any, values_node: Any) -> Any:
        ends = self.array(kind.run_end_type, ends_node)
        values = self.array(kind.value_type, values_node)
        if len(ends) != len(values) or ends.null_count or (ends[-1].as_py() if len(ends) else 0) != length:
            raise CorruptEntry("a stored Arrow array has malformed runs; delete the entry")
        return arrow().RunEndEncodedArray.from_arrays(ends, values, kind)


def _check_bounds(indices: Any, count: int) -> None:
    import pyarrow.compute as pc

    found = pc.min_max(indices)
    low, high = found["min"].as_py(), found["max"].as_py()
    if low is not None and not (low >= 0 and high < count):
        raise CorruptEntry("a stored Arrow array points outside of its dictionary; delete the entry")


def _check_entries(entries: Any) -> None:
    """Refuse the entries of a map that Arrow ends the process for: missing ones, or such without a key."""
    entries.validate(full=True)
    if entries.null_count or entries.field(0).null_count:
        raise CorruptEntry("a stored Arrow map lacks a key; delete the entry")


def pack_arrays(arrays: list[Any]) -> tuple[list[Node], list[Buffer]]:
    """The nodes of several arrays, and all their buffers."""
    packer = Packer()
    return [packer.node(array) for array in arrays], packer.buffers


def pack_scalar(scalar: Any) -> tuple[Any, Node, list[Buffer]]:
    """One value as its type and an array that holds it alone."""
    packed = pack_type(scalar.type)
    nodes, buffers = pack_arrays([_array_of(scalar)])
    return packed, nodes[0], buffers


def _array_of(scalar: Any) -> Any:
    pa = arrow()
    if pa.types.is_dictionary(scalar.type):
        indices = pa.array([scalar.index.as_py()], scalar.type.index_type)
        return pa.DictionaryArray.from_arrays(indices, scalar.dictionary, ordered=scalar.type.ordered)
    if pa.types.is_run_end_encoded(scalar.type):
        ends = pa.array([1], scalar.type.run_end_type)
        return pa.RunEndEncodedArray.from_arrays(ends, _array_of(scalar.value), scalar.type)
    try:
        return pa.repeat(scalar, 1)
    except pa.ArrowNotImplementedError as error:
        raise UnsupportedValue(f"an Arrow scalar of type {scalar.type} cannot be stored: {error}") from error
