"""Compression by gzip, without the time of day, so that equal bytes compress to equal bytes."""

from __future__ import annotations

import functools
import gzip
import zlib as deflate
from typing import TYPE_CHECKING

from hashstash.compressors._stream import inflate
from hashstash.compressors.zlib import Deflated

if TYPE_CHECKING:
    from hashstash.codec import Buffer


class Gzip:
    """The gzip format, one member."""

    name = "gzip"

    def encode(self, data: Buffer) -> bytes:
        """Return *data* compressed."""
        return gzip.compress(data, 6, mtime=0)

    def decode(self, data: Buffer, raw_size: int) -> Buffer:
        """Return the original *raw_size* bytes, and never inflate more than those."""
        return inflate("gzip", functools.partial(Deflated, 16 + deflate.MAX_WBITS), data, raw_size, deflate.error)


PLUGIN = Gzip()
