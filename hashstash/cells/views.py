"""Arrays that share the memory of an array which existed before the run: they are stored as a window into it."""

from __future__ import annotations

import sys
from typing import Any

WINDOW = "window"


def window_of(value: Any, tokens: dict[int, Any]) -> list[Any] | None:
    """What describes *value* as a window into an array that has a token, or ``None`` if it is none."""
    numpy = sys.modules.get("numpy")
    if numpy is None or type(value) is not numpy.ndarray or value.base is None or value.dtype.hasobject:
        return None
    owner: Any = value
    while type(owner) is numpy.ndarray and owner.base is not None and id(owner) not in tokens:
        owner = owner.base
    token = tokens.get(id(owner))
    if token is None or type(owner) is not numpy.ndarray or not owner.flags.c_contiguous:
        return None
    offset = value.__array_interface__["data"][0] - owner.__array_interface__["data"][0]
    return [WINDOW, list(token), offset, list(value.shape), value.dtype.str, list(value.strides), value.flags.writeable]


def open_window(owner: Any, window: list[Any]) -> Any:
    """The array that :func:`window_of` described, in the memory of *owner*; raises ``ValueError`` beyond its bounds."""
    import numpy as np

    _kind, _token, offset, shape, dtype, strides, is_writeable = window
    view = np.ndarray(tuple(shape), np.dtype(dtype), buffer=owner, offset=offset, strides=tuple(strides))
    view.flags.writeable = is_writeable and owner.flags.writeable
    return view
