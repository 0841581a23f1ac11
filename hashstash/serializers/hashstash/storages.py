"""The memory of torch's tensors: written once for all tensors that share it, outside of the document.

A tensor makes a new wrapper of its storage whenever it is asked for it, so that identity says nothing; and what a storage
reduces to by itself is a file of ``torch.save`` within the document.
"""

from __future__ import annotations

import operator
import pickle
import sys
from typing import TYPE_CHECKING, Any

from hashstash.serializers.hashstash import nodes
from hashstash.serializers.hashstash.objects import walk_call, walk_object

if TYPE_CHECKING:
    from hashstash.serializers.hashstash.nodes import Walk
    from hashstash.serializers.hashstash.walk import Writer


def is_storage(value: object) -> bool:
    """Whether *value* is the memory of a tensor, with or without the type of its elements."""
    kind = type(value)
    return kind.__module__ == "torch.storage" and kind.__name__ in {"UntypedStorage", "TypedStorage"}


def walk_storage(writer: Writer, value: Any) -> Walk:
    """Write a storage, unless it was written under another wrapper."""
    untyped = getattr(value, "_untyped_storage", value)
    place = (untyped._cdata, value.dtype if untyped is not value else None)  # noqa: SLF001, as torch.save does
    first = writer.note("storages").setdefault(place, value)
    if first is not value:
        return (yield first, None)
    if untyped is not value:
        options = {"wrap_storage": untyped, "dtype": value.dtype, "_internal": True}
        yield from walk_call(writer, value, nodes.CALL, type(value), (), options)
        return writer.emit(value)
    if value.device.type != "cpu":
        return (yield from walk_object(writer, value))
    return (yield from _walk_memory(writer, value))


def _walk_memory(writer: Writer, value: Any) -> Walk:
    torch = sys.modules["torch"]
    if value.nbytes() == 0:
        yield from walk_call(writer, value, nodes.CALL, type(value), (0,), {})
        return writer.emit(value)
    parts = writer.note("recipes")
    if id(value) not in parts:
        array = torch.empty(0, dtype=torch.uint8).set_(value).numpy()
        parts[id(value)] = (pickle.PickleBuffer(array), object(), operator.methodcaller("untyped_storage"))
    memory, tensor, get_storage = parts[id(value)]
    yield from walk_call(writer, tensor, nodes.CALL, torch.frombuffer, (memory,), {"dtype": torch.uint8})
    yield from walk_call(writer, value, nodes.CALL, get_storage, (tensor,), {})
    return writer.emit(value)
