"""Compression by bzip2: slow, and small for text."""

from __future__ import annotations

import bz2
from typing import TYPE_CHECKING

from hashstash.compressors._stream import inflate

if TYPE_CHECKING:
    from hashstash.codec import Buffer


class Bz2:
    """The bzip2 format, one stream."""

    name = "bz2"

    def encode(self, data: Buffer) -> bytes:
        """Return *data* compressed."""
        return bz2.compress(data)

    def decode(self, data: Buffer, raw_size: int) -> Buffer:
        """Return the original *raw_size* bytes, and never inflate more than those."""
        return inflate("bz2", bz2.BZ2Decompressor, data, raw_size, OSError)


PLUGIN = Bz2()
