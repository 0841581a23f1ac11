"""No compression: the bytes themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashstash.errors import CorruptEntry

if TYPE_CHECKING:
    from hashstash.codec import Buffer


class Raw:
    """Leaves bytes as they are."""

    name = "raw"

    def encode(self, data: Buffer) -> bytes:
        """Return *data* as bytes."""
        return bytes(data)

    def decode(self, data: Buffer, raw_size: int) -> Buffer:
        """Return *data*, which must be *raw_size* bytes."""
        size = memoryview(data).nbytes
        if size != raw_size:
            raise CorruptEntry(f"a stored payload has {size} bytes instead of {raw_size}; delete the entry")
        return data


PLUGIN = Raw()
