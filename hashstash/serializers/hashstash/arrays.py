"""Numpy arrays that share memory are written as one buffer and as views of it, and share memory again when read.

Whether an array shares its memory with another one of the same document is known only at the end. So each array takes
an operation at once, and the operation gets its content at the end: the array's own hook where it is alone, a view
otherwise.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from hashstash.errors import CorruptEntry
from hashstash.serializers.hashstash import nodes
from hashstash.serializers.hashstash.types import find_hook, restore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hashstash.codec import Buffer

MAX_DIMENSIONS = 64
MAX_REPEATED = 1 << 30
"""A view that repeats its memory, such as a broadcast one, may pretend to be this many bytes long, and no more."""


class Placed(NamedTuple):
    """An array, the operation that makes it, and the bytes ``[low, high)`` of its owner that it can reach."""

    array: Any
    operation: list[Any]
    low: int
    high: int


def is_array(value: Any) -> bool:
    """Whether *value* is a plain numpy array whose memory holds its values rather than pointers to objects."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and type(value) is numpy.ndarray and not value.dtype.hasobject


class SharedMemory:
    """The arrays of one document, by the memory that they live in."""

    def __init__(self) -> None:
        self._owners: dict[int, tuple[Any, list[Placed]]] = {}

    def note(self, array: Any, operation: list[Any]) -> None:
        """Remember that *operation* is to make *array*."""
        owner = _owner(array)
        low, high = _reach(array, owner)
        self._owners.setdefault(id(owner), (owner, []))[1].append(Placed(array, operation, low, high))

    def finish(self, buffers: list[Buffer], keep: Callable[[Buffer], bytes | int]) -> None:
        """Give every operation its content; *keep* stores a buffer that one array has for itself."""
        for owner, placed in self._owners.values():
            for group in _overlapping(placed):
                if len(group) > 1 and _can_share(owner, group):
                    _share(owner, group, buffers)
                else:
                    for one in group:
                        _write_alone(one, keep)


def _owner(array: Any) -> Any:
    numpy = sys.modules["numpy"]
    while isinstance(array.base, numpy.ndarray):
        array = array.base
    return array


def _address(array: Any) -> int:
    return int(array.__array_interface__["data"][0])


def _reach(array: Any, owner: Any) -> tuple[int, int]:
    low = _address(array) - _address(owner)
    if array.size == 0:
        return low, low
    steps = [(length - 1) * stride for length, stride in zip(array.shape, array.strides, strict=True)]
    return low + sum(step for step in steps if step < 0), low + sum(step for step in steps if step > 0) + array.itemsize


def _overlapping(placed: list[Placed]) -> Iterator[list[Placed]]:
    """The arrays in groups that no byte connects to each other."""
    group: list[Placed] = []
    end = 0
    for one in sorted(placed, key=lambda one: (one.low, one.high)):
        if group and one.low >= end:
            yield group
            group = []
        end = max(end, one.high) if group else one.high
        group.append(one)
    yield group


def _can_share(owner: Any, group: list[Placed]) -> bool:
    in_one_piece = owner.flags.c_contiguous or owner.flags.f_contiguous
    return in_one_piece and all(
        one.array.nbytes <= max(MAX_REPEATED, owner.nbytes) and find_hook(type(one.array.dtype)) is not None
        for one in group
    )


def _share(owner: Any, group: list[Placed], buffers: list[Buffer]) -> None:
    low = min(one.low for one in group)
    high = max(one.high for one in group)
    memory = owner.ravel(order="K").view("u1")[low:high]
    buffers.append(memoryview(memory))
    for array, operation, _, _ in group:
        offset = _address(array) - _address(owner) - low
        hook = find_hook(type(array.dtype))
        assert hook is not None
        dtype = [hook.tag, hook.pack(array.dtype)[0]]
        operation[:] = [
            nodes.VIEW,
            len(buffers) - 1,
            offset,
            list(array.shape),
            list(array.strides),
            dtype,
            bool(array.flags.writeable),
        ]


def _write_alone(one: Placed, keep: Callable[[Buffer], bytes | int]) -> None:
    hook = find_hook(type(one.array))
    assert hook is not None
    meta, buffers = hook.pack(one.array)
    one.operation[:] = [nodes.HOOK, hook.tag, meta, [keep(buffer) for buffer in buffers]]


def make_view(memory: Buffer, offset: Any, shape: Any, strides: Any, dtype: Any, *, is_writable: bool) -> Any:
    """The array that a VIEW operation describes. Numpy itself checks that it stays within *memory*."""
    tag, meta = dtype
    made = restore(tag, meta, [])
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(made, numpy.dtype) or made.hasobject or made.itemsize == 0:
        raise CorruptEntry("a stored array view has no element type that lies in memory; delete the entry")
    if not (_are_ints(shape) and _are_ints(strides) and type(offset) is int and len(shape) <= MAX_DIMENSIONS):
        raise CorruptEntry("a stored array view has a malformed shape; delete the entry")
    try:
        view = numpy.ndarray(tuple(shape), made, buffer=memory, offset=offset, strides=tuple(strides))
    except (TypeError, ValueError, OverflowError) as error:
        raise CorruptEntry("a stored array view reaches beyond its memory; delete the entry") from error
    if view.nbytes > max(MAX_REPEATED, len(memory)):
        raise CorruptEntry("a stored array view repeats its memory beyond all use; delete the entry")
    if not is_writable:
        view.flags.writeable = False
    return view


def _are_ints(values: Any) -> bool:
    return type(values) is list and all(type(value) is int for value in values)
