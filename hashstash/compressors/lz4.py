"""Compression by LZ4: it costs next to nothing, and JSON-like values become half as large.

The payload is one bare LZ4 block; its raw size stands in the entry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashstash.errors import CorruptEntry, MissingDependency

if TYPE_CHECKING:
    from hashstash.codec import Buffer

try:
    import lz4.block as lz4_block
except ImportError as missing:
    raise MissingDependency("the lz4 compressor needs the package 'lz4': pip install 'hashstash[lz4]'") from missing

LARGEST_BLOCK = 0x7E000000
"""What one LZ4 block can hold; larger data is kept raw."""


class Lz4:
    """One LZ4 block."""

    name = "lz4"

    def encode(self, data: Buffer) -> bytes:
        """Return *data* compressed."""
        if memoryview(data).nbytes > LARGEST_BLOCK:
            raise OverflowError("one LZ4 block holds less than 2 GB")
        packed: bytes = lz4_block.compress(data, store_size=False)
        return packed

    def decode(self, data: Buffer, raw_size: int) -> bytes:
        """Return the original *raw_size* bytes, and never inflate more than those."""
        if not 0 <= raw_size <= LARGEST_BLOCK:
            raise CorruptEntry(f"a stored lz4 payload claims {raw_size} bytes; delete the entry")
        try:
            raw: bytes = lz4_block.decompress(data, uncompressed_size=raw_size)
        except (lz4_block.LZ4BlockError, ValueError) as error:
            raise CorruptEntry(f"a stored payload is no lz4 block ({error}); delete the entry") from error
        if len(raw) != raw_size:
            raise CorruptEntry(
                f"a stored lz4 payload does not hold the {raw_size} bytes that it should; delete the entry"
            )
        return raw


PLUGIN = Lz4()
