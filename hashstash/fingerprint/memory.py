"""Which arrays and tensors lie in the same memory: writing to one changes the other, so what they share counts."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from hashstash.fingerprint.walker import Walker


def memory_owner(value: Any) -> int | None:
    """What identifies the memory that an array or a tensor lies in; ``None`` for what is neither, or has no one memory."""
    numpy: Any = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.ndarray):
        while isinstance(value.base, numpy.ndarray):
            value = value.base
        return id(value if value.base is None else value.base)
    return _storage_of(value) if is_tensor(value) else None


def address_of(value: Any) -> tuple[Any, ...] | None:
    """What two arrays of numpy have in common that are the same elements of the same memory; ``None`` for anything else."""
    numpy: Any = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, numpy.ndarray):
        return None
    return value.__array_interface__["data"][0], value.shape, value.strides, value.dtype


def is_tensor(value: Any) -> bool:
    """Whether *value* is a tensor of torch."""
    kind = getattr(sys.modules.get("torch"), "Tensor", None)
    return kind is not None and isinstance(value, kind)


def plainly() -> AbstractContextManager[object]:
    """Within it, subclasses of tensors do not answer for what their tensor is asked."""
    torch: Any = sys.modules["torch"]
    guard: AbstractContextManager[object] = torch._C.DisableTorchFunctionSubclass()  # noqa: SLF001  it has no other name
    return guard


def _storage_of(tensor: Any) -> int | None:
    try:
        with plainly():
            return int(tensor.untyped_storage()._cdata) if tensor.data_ptr() else None  # noqa: SLF001  the same
    except (RuntimeError, NotImplementedError, ValueError):
        return None  # sparse, opaque or without content yet


def overlap(value: Any, other: Any) -> int | None:
    """How many bytes *value* begins after *other*, if their memory overlaps; else ``None``."""
    if is_tensor(value) or is_tensor(other):
        return _overlap_of_tensors(value, other) if is_tensor(value) and is_tensor(other) else None
    numpy: Any = sys.modules["numpy"]
    if not numpy.may_share_memory(value, other):
        return None
    return int(value.__array_interface__["data"][0] - other.__array_interface__["data"][0])


def _overlap_of_tensors(tensor: Any, other: Any) -> int | None:
    with plainly():
        start, other_start = int(tensor.data_ptr()), int(other.data_ptr())
        apart = start >= other_start + extent(other) or other_start >= start + extent(tensor)
    return None if apart else start - other_start


def extent(tensor: Any) -> int:
    """The bytes from the first element of a tensor to behind its last one in memory."""
    if not tensor.numel():
        return 0
    steps = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return int((steps + 1) * tensor.element_size())


def shared_memory(walker: Walker, value: Any) -> Iterator[tuple[int, int]]:
    """The numbers of earlier arrays that *value* shares memory with, and its distance from each in bytes."""
    neighbours = walker.memory.setdefault(memory_owner(value) or 0, [])
    for number in neighbours:
        known = walker.containers[number] if number < len(walker.containers) else None
        is_like = is_tensor(known) if is_tensor(value) else isinstance(known, type(value))
        distance = overlap(value, known) if is_like and known is not value else None
        if distance is not None:
            yield number, distance
    neighbours.append(len(walker.containers) - 1)
