"""Compression by zlib, at its fastest level: a cache is read sooner than it is full."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from hashstash.errors import CorruptEntry

if TYPE_CHECKING:
    from hashstash.codec import Buffer


class Zlib:
    """The zlib format."""

    name = "zlib"

    def encode(self, data: Buffer) -> bytes:
        """Return *data* compressed."""
        return zlib.compress(data, 1)

    def decode(self, data: Buffer, raw_size: int) -> bytes:
        """Return the original *raw_size* bytes, and never inflate more than those."""
        return inflate("zlib", data, raw_size, zlib.MAX_WBITS)


def inflate(name: str, data: Buffer, raw_size: int, window: int) -> bytes:
    """The *raw_size* bytes that *data*, one whole deflate stream, stands for; *window* says which header it has."""
    stream = zlib.decompressobj(window)
    try:
        raw = stream.decompress(data, raw_size + 1)  # one more than promised, to see whether there is more
    except zlib.error as error:
        raise CorruptEntry(f"a stored payload is no {name} stream ({error}); delete the entry") from error
    if len(raw) != raw_size or not stream.eof or stream.unused_data:
        raise CorruptEntry(
            f"a stored {name} payload does not hold the {raw_size} bytes that it should; delete the entry"
        )
    return raw


PLUGIN = Zlib()
