"""Arrays and frames that say they have millions of rows, and hold nothing: nulls, one run, an index that only counts.

Whoever goes through their rows takes as long as they say. So does whoever reads a file that is nothing but a hole.
"""

from __future__ import annotations

import os
from typing import Any

_LARGE = 64 << 20
_TIMES = 200
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


def is_hollow_file(status: os.stat_result) -> bool:
    """Whether a file of many bytes has hardly any on the disk: holes take memory only when they are read, as bombs do."""
    on_disk = getattr(status, "st_blocks", status.st_size) * 512
    return status.st_size > _LARGE and on_disk * _TIMES < status.st_size


def solid_part(path: str) -> bytes:
    """The file at *path*; of a hollow one only what comes before the first hole."""
    with open(path, "rb") as file:
        size = -1
        if is_hollow_file(os.fstat(file.fileno())):
            size = os.lseek(file.fileno(), 0, os.SEEK_HOLE) if hasattr(os, "SEEK_HOLE") else 0
            file.seek(0)
        return file.read(size)
