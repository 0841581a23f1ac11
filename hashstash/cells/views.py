"""Arrays that share the memory of an array which existed before the run: they are stored as a window into it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

WINDOW = "window"
_KINDS = frozenset({"ndarray", "recarray", "matrix"})
"""The classes of numpy's whose arrays are nothing but a look at memory."""


class Memory:
    """The memory of the arrays that existed before the run."""

    def __init__(self, tokens: Iterable[tuple[Any, Any]]) -> None:
        """*tokens*: objects with what stands for them."""
        numpy: Any = sys.modules.get("numpy")
        self._arrays = [
            (*_bounds(value), token)
            for value, token in (tokens if hasattr(numpy, "ndarray") else ())
            if _is_look(value, numpy) and value.flags.forc and not value.dtype.hasobject
        ]

    def window_of(self, value: Any) -> list[Any] | None:
        """What describes *value* as a window into one of them, or ``None`` if it is none."""
        numpy: Any = sys.modules.get("numpy")
        if not self._arrays or not _is_look(value, numpy) or value.base is None or value.dtype.hasobject:
            return None
        first, last = _bounds(value)
        token, start = next(
            ((token, start) for start, end, token in self._arrays if start <= first <= last <= end), (None, 0)
        )
        if token is None or first == last:
            return None
        from hashstash.serializers.hashstash.types import NeedsGraph
        from hashstash.serializers.hashstash.types.numpy import pack_dtype

        try:
            dtype = pack_dtype(value.dtype)
        except NeedsGraph:
            return None
        offset = value.__array_interface__["data"][0] - start
        return [
            WINDOW,
            list(token),
            offset,
            list(value.shape),
            dtype,
            list(value.strides),
            value.flags.writeable,
            *([type(value).__name__] if type(value) is not numpy.ndarray else ()),
        ]


def _is_look(value: Any, numpy: Any) -> bool:
    return type(value).__name__ in _KINDS and type(value) is getattr(numpy, type(value).__name__)


def _bounds(array: Any) -> tuple[int, int]:
    """The addresses of the first byte of an array, and of the one behind its last."""
    first = last = array.__array_interface__["data"][0]
    for size, stride in zip(array.shape, array.strides, strict=True):
        if size == 0:
            return first, first
        first, last = (first + min(0, (size - 1) * stride), last + max(0, (size - 1) * stride))
    return first, last + array.itemsize


def open_window(owner: Any, window: list[Any]) -> Any:
    """The array that :meth:`Memory.window_of` described, in the memory of *owner*; raises ``ValueError`` beyond its bounds."""
    import numpy as np

    from hashstash.serializers.hashstash.types.numpy import unpack_dtype

    _kind, _token, offset, shape, dtype, strides, is_writeable, *kinds = window
    memory = np.asarray(owner if owner.flags.c_contiguous else owner.T)
    view = np.ndarray(tuple(shape), unpack_dtype(dtype), buffer=memory, offset=offset, strides=tuple(strides))
    view.flags.writeable = is_writeable and owner.flags.writeable
    kind = next((kind for kind in kinds if kind in _KINDS), "ndarray")
    return view if kind == "ndarray" else view.view(getattr(np, kind))
