"""Compression by bzip2: slow, and small for text."""

from __future__ import annotations

import bz2
from typing import TYPE_CHECKING

from hashstash.errors import CorruptEntry

if TYPE_CHECKING:
    from hashstash.codec import Buffer


class Bz2:
    """The bzip2 format, one stream."""

    name = "bz2"

    def encode(self, data: Buffer) -> bytes:
        """Return *data* compressed."""
        return bz2.compress(data)

    def decode(self, data: Buffer, raw_size: int) -> bytes:
        """Return the original *raw_size* bytes, and never inflate more than those."""
        stream = bz2.BZ2Decompressor()
        try:
            raw = stream.decompress(data, raw_size + 1)
        except OSError as error:
            raise CorruptEntry(f"a stored payload is no bz2 stream ({error}); delete the entry") from error
        if len(raw) != raw_size or not stream.eof or stream.unused_data:
            raise CorruptEntry(
                f"a stored bz2 payload does not hold the {raw_size} bytes that it should; delete the entry"
            )
        return raw


PLUGIN = Bz2()
