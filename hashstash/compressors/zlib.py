"""Compression by zlib, at its fastest level: a cache is read sooner than it is full."""

from __future__ import annotations

import functools
import zlib
from typing import TYPE_CHECKING

from hashstash.compressors._stream import inflate

if TYPE_CHECKING:
    from hashstash.codec import Buffer


class Zlib:
    """The zlib format."""

    name = "zlib"

    def encode(self, data: Buffer) -> bytes:
        """Return *data* compressed."""
        return zlib.compress(data, 1)

    def decode(self, data: Buffer, raw_size: int) -> Buffer:
        """Return the original *raw_size* bytes, and never inflate more than those."""
        return inflate("zlib", functools.partial(Deflated, zlib.MAX_WBITS), data, raw_size, zlib.error)


class Deflated:
    """A deflate stream; *window* says which header it has."""

    def __init__(self, window: int) -> None:
        self._stream = zlib.decompressobj(window)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        """Whether the end of the stream was met."""
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        """What was fed beyond the end of the stream."""
        return self._stream.unused_data

    def decompress(self, data: Buffer, max_length: int) -> bytes:
        """Feed *data*, and give out at most *max_length* bytes."""
        piece = self._stream.decompress(data or self._stream.unconsumed_tail, max_length)
        self.needs_input = not self._stream.unconsumed_tail and len(piece) < max_length
        return piece


PLUGIN = Zlib()
