"""Arrays and frames that say they have millions of rows, and hold nothing: nulls, one run, an index that only counts.

Whoever goes through their rows takes as long as they say.
"""

from __future__ import annotations

from typing import Any

_ROWS_PER_BYTE = 16
"""A bit for each row is the least that has something to say."""


def is_hollow(value: Any, most: int) -> bool:
    """Whether an array or a frame has more than *most* rows, and far more than its memory has room for.

    The memory is asked for only where the rows are so many: that may take longer than to go through a few of them.
    """
    rows = rows_of(value)
    return rows > most and bytes_held(value) * _ROWS_PER_BYTE < rows


def rows_of(value: Any) -> int:
    """The length of an array or a frame along its first axis; 0 for what has none."""
    shape = getattr(value, "shape", None)
    return int(shape[0] if shape else 0 if shape == () or not hasattr(value, "__len__") else len(value))


def bytes_held(value: Any) -> int:
    """About how much memory an array or a frame takes."""
    strides = getattr(value, "strides", None)
    if isinstance(strides, tuple):
        steps = zip(value.shape, strides, strict=True)
        return int(min(value.nbytes, value.itemsize + sum((length - 1) * abs(stride) for length, stride in steps)))
    if hasattr(value, "estimated_size"):  # polars
        return int(value.estimated_size())
    if hasattr(value, "memory_usage"):
        usage = value.memory_usage()
        return int(usage.sum() if hasattr(usage, "sum") else usage)
    return int(getattr(value, "nbytes", 0))
