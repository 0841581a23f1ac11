"""Arrays that share the memory of an array which existed before the run: they are stored as a window into it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

WINDOW = "window"


class Memory:
    """The memory of the arrays that existed before the run."""

    def __init__(self, tokens: Iterable[tuple[Any, Any]]) -> None:
        """*tokens*: objects with what stands for them."""
        numpy: Any = sys.modules.get("numpy")
        self._arrays = [
            (*_bounds(value), token)
            for value, token in (tokens if hasattr(numpy, "ndarray") else ())
            if type(value) is numpy.ndarray and value.flags.c_contiguous and not value.dtype.hasobject
        ]

    def window_of(self, value: Any) -> list[Any] | None:
        """What describes *value* as a window into one of them, or ``None`` if it is none."""
        numpy: Any = sys.modules.get("numpy")
        if not self._arrays or type(value) is not numpy.ndarray or value.base is None or value.dtype.hasobject:
            return None
        first, last = _bounds(value)
        token, start = next(
            ((token, start) for start, end, token in self._arrays if start <= first <= last <= end), (None, 0)
        )
        if token is None or first == last:
            return None
        offset = value.__array_interface__["data"][0] - start
        return [
            WINDOW,
            list(token),
            offset,
            list(value.shape),
            value.dtype.str,
            list(value.strides),
            value.flags.writeable,
        ]


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

    _kind, _token, offset, shape, dtype, strides, is_writeable = window
    view = np.ndarray(tuple(shape), np.dtype(dtype), buffer=owner, offset=offset, strides=tuple(strides))
    view.flags.writeable = is_writeable and owner.flags.writeable
    return view
