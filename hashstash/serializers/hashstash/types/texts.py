"""Many strings as two buffers: their lengths in bytes, and their text in UTF-8.

A hundred thousand strings are then read with two copies and one slice each. Values that are not strings may stand
among them.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from hashstash.errors import CorruptEntry
from hashstash.serializers.hashstash.types.build import expect, items

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hashstash.codec import Buffer

LENGTHS = np.dtype("<u4")
LEAST = 64
"""Fewer strings are stored one by one."""


def pack_texts(values: list[Any]) -> tuple[list[Any], list[Buffer]] | None:
    """*values* as a meta and buffers, or ``None`` where most are no strings, or text that UTF-8 cannot hold."""
    if len(values) < LEAST:
        return None
    others = [] if {*map(type, values)} == {str} else [i for i, value in enumerate(values) if type(value) is not str]
    if len(others) > len(values) // 2:
        return None
    texts = list(values)
    for index in others:
        texts[index] = ""
    try:
        data = "".join(texts).encode()
        lengths = _byte_lengths(texts, len(data))
    except (UnicodeEncodeError, OverflowError):
        return None
    return [len(values), others, [values[index] for index in others]], [lengths.view("u1").data, data]


def _byte_lengths(texts: list[str], size: int) -> Any:
    lengths = np.fromiter(map(len, texts), LENGTHS, len(texts))
    if int(lengths.sum(dtype=np.int64)) != size:
        lengths = np.fromiter((len(text.encode()) for text in texts), LENGTHS, len(texts))
    return lengths


def unpack_texts(meta: Any, buffers: list[Buffer]) -> list[Any]:
    """The values that :func:`pack_texts` was given."""
    count, positions, others = items(meta, 3)
    lengths, data = buffers
    values = list(_slices(expect(int, count), lengths, data))
    for index, other in zip(expect(list, positions), expect(list, others), strict=True):
        if index < 0 or values[index] != "":
            raise CorruptEntry("stored strings are malformed: two values claim one place; delete the entry")
        values[index] = other
    return values


def _slices(count: int, lengths: Buffer, data: Buffer) -> Iterator[str]:
    if len(lengths) != count * LENGTHS.itemsize:
        raise CorruptEntry("stored strings are malformed: not as many as they say; delete the entry")
    ends = np.cumsum(np.frombuffer(lengths, LENGTHS), dtype=np.int64).tolist()
    if (ends[-1] if ends else 0) != len(data):
        raise CorruptEntry("stored strings are malformed: text is missing; delete the entry")
    text = str(data, "utf-8")
    bounds: Iterable[tuple[int, int]] = pairwise([0, *ends])
    if len(text) == len(data):
        return (text[start:end] for start, end in bounds)
    raw = bytes(data)
    return (raw[start:end].decode() for start, end in bounds)
