"""Base64, for storage that keeps text only: the standard alphabet, in one line."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from hashstash.errors import CorruptEntry

if TYPE_CHECKING:
    from hashstash.codec import Buffer


class B64:
    """Standard base64 with padding."""

    name = "b64"

    def encode(self, data: Buffer) -> bytes:
        """Return *data* as ASCII text."""
        return base64.b64encode(data)

    def decode(self, data: Buffer, raw_size: int) -> bytes:
        """Return the original *raw_size* bytes."""
        if memoryview(data).nbytes != (raw_size + 2) // 3 * 4:
            raise CorruptEntry(f"a stored base64 payload does not stand for {raw_size} bytes; delete the entry")
        try:
            raw = binascii.a2b_base64(data, strict_mode=True)
        except binascii.Error as error:
            raise CorruptEntry(f"a stored payload is no base64 ({error}); delete the entry") from error
        if len(raw) != raw_size:
            raise CorruptEntry(f"a stored base64 payload does not stand for {raw_size} bytes; delete the entry")
        return raw


PLUGIN = B64()
