"""The frame of an entry, made byte by byte, so that each field of it may lie."""

from __future__ import annotations

import os
import struct
import time
import zlib
from dataclasses import dataclass, field, replace
from typing import Any

CODE, PARTS, BLOB, SIGNED, B64, LOOSE = 1, 2, 4, 8, 16, 32
_HEAD = struct.Struct("<3sBBBH8sIIIIQQqqd16s")


@dataclass(frozen=True)
class Frame:
    """What a row says of itself; sizes that are not given are true."""

    digest: bytes = bytes(16)
    label: bytes = b"hashstash"
    key: bytes = b"\0\xc0"
    payload: bytes = b"\xc0"
    metadata: bytes = b""
    flags: int = 0
    magic: bytes = b"HST"
    format: int = 1
    reserved: tuple[int, int] = (0, 0)
    write_id: bytes = field(default_factory=lambda: os.urandom(8))
    version: int = 1
    sizes: dict[str, int] = field(default_factory=dict)
    """Lies about the sizes: label, key, metadata, payload, raw."""
    created: int = field(default_factory=time.time_ns)
    expires: int = 0
    seconds: float = 0.0
    signature: bytes = b""
    crc: int | None = None

    def but(self, **changes: Any) -> Frame:
        return replace(self, **changes)

    def body(self) -> bytes:
        true = {name: len(getattr(self, name)) for name in ("label", "key", "metadata", "payload")}
        sizes = {"raw": true["payload"], **true, **self.sizes}
        head = _HEAD.pack(
            *(
                self.magic,
                self.format,
                self.flags & 255,
                sizes["label"] & 255,
                self.reserved[0],
                self.write_id,
                self.version,
            ),
            *(
                sizes["key"],
                sizes["metadata"],
                self.reserved[1],
                sizes["payload"],
                sizes["raw"],
                self.created,
                self.expires,
            ),
            *(self.seconds, self.digest),
        )
        return head + self.label + self.key + self.metadata + self.payload

    def pack(self) -> bytes:
        body = self.body() + self.signature
        return body + struct.pack("<I", zlib.crc32(body) if self.crc is None else self.crc)


def buffers(document: bytes, *parts: bytes) -> bytes:
    """A payload with buffers beside its document."""
    head = struct.pack("<2sHIQ", b"P1", 0, len(parts), len(document)) + struct.pack(f"<{len(parts)}Q", *map(len, parts))
    whole = head + document
    for part in parts:
        whole += bytes(-len(whole) % 64) + part
    return whole
