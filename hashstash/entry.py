"""The one form in which every engine stores a row: header, key, metadata, payload, checksum.

::

    0   3s  magic "HST"            32  Q  payload size, as stored
    3   B   format version         40  Q  payload size, raw
    4   B   flags                  48  q  created at, ns since the epoch
    5   B   size of the label      56  q  expires at, ns; 0: never
    6   H   reserved, 0            64  d  seconds that computing the value took
    8   8s  write id               72  16s key digest
    16  I   version number         88  label, key, metadata, payload
    20  I   size of the key            if signed: signer's id (8), tag (16)
    24  I   size of the metadata       crc32 over all before it
    28  I   reserved, 0

The label names the codec, such as ``hashstash+lz4``, so that any stash reads any entry. The checksum stands last, so that the
crc32 of a whole intact row is a constant and can be checked without a copy. It is checked before anything is decoded.
"""

from __future__ import annotations

import itertools
import os
import struct
import time
from dataclasses import dataclass
from enum import IntFlag
from typing import Any

from hashstash import forks
from hashstash.checksum import crc32
from hashstash.errors import CorruptEntry, NewerFormat

FORMAT_VERSION = 1
_MAGIC = b"HST"
_HEADER = struct.Struct("<3sBBBH8sIIIIQQqqd16s")
HEADER_SIZE = _HEADER.size
_CRC = struct.Struct("<I")
_SHORTEST = HEADER_SIZE + _CRC.size
_RESIDUE = 0x2144DF1C  # crc32 of any message with its own crc32 appended, little-endian
SIGNATURE_SIZE = 24
_START = _MAGIC + bytes([FORMAT_VERSION, 0])  # of a row without flags
_VERSION, _FLAGS, _LABEL_SIZE, _KEY_SIZE = slice(3, 4), 4, 5, slice(16 + 4, 16 + 8)
# The fields that a plain hit needs, and those that a plain write fills in: half of the time of a full header.
_HOT_READ = struct.Struct("<20xII4xQQ8xqd16s").unpack_from
_HOT_WRITE = struct.Struct("<5sB2xQII8xQQq16x16s").pack


class Flag(IntFlag):
    """What the header says about the rest of the row."""

    CODE = 1
    """Key or payload import or call something when they are decoded."""
    PARTS = 2
    """The payload is a document with buffers."""
    BLOB = 4
    """The payload lies in a blob file; the row holds its name, size and digests."""
    SIGNED = 8
    B64 = 16
    """The payload is base64 text."""
    LOOSE = 32
    """Not a row of a stash, but a value on its own, as ``serialize`` makes it."""


_BLOB_BIT = int(Flag.BLOB)
_CODE_BIT = int(Flag.CODE)
_SIGNED_BIT = int(Flag.SIGNED)


NO_FLAGS = Flag(0)


class _FlagOf(dict[int, Flag]):
    """Flags by the byte in the header: making one takes as long as reading the header."""

    def __missing__(self, bits: int) -> Flag:
        self[bits] = Flag(bits)
        return self[bits]


_flag_of = _FlagOf()


@dataclass(slots=True)
class Entry:
    """One stored row, unpacked. ``payload`` is still compressed and serialized as the label says."""

    digest: bytes
    label: bytes
    key: bytes
    payload: bytes | memoryview
    raw_size: int
    flags: Flag = NO_FLAGS
    write_id: bytes = b""
    version: int = 1
    created_at: int = 0
    expires_at: int = 0
    seconds: float = 0.0
    metadata: bytes = b""
    signer: bytes = b""
    tag: bytes = b""
    is_trusted: bool = False
    """Whether the entry was signed by a key that this user trusts; decided by the stash that read it."""
    unread: int = 0
    """How many bytes of the payload were left in the storage; such an entry can be looked at and nothing else."""

    @property
    def is_code(self) -> bool:
        """Whether decoding it imports or calls something."""
        return bool(self.flags.value & _CODE_BIT)  # an ``&`` of flags takes as long as reading the header

    def is_expired(self, now: int | None = None) -> bool:
        """Whether its time to live is over at *now*, in ns since the epoch."""
        return 0 < self.expires_at <= (time.time_ns() if now is None else now)

    def body(self) -> bytes:
        """The row up to the signature."""
        return b"".join(self.body_parts())

    def body_parts(self) -> tuple[bytes | memoryview, ...]:
        """The row up to the signature, which is what a tag covers, in parts: large payloads are not copied to be signed."""
        head = _HEADER.pack(
            *(_MAGIC, FORMAT_VERSION, self.flags, len(self.label), 0, self.write_id, self.version, len(self.key)),
            *(len(self.metadata), 0, len(self.payload), self.raw_size, self.created_at, self.expires_at, self.seconds),
            self.digest,
        )
        return head, self.label, self.key, self.metadata, self.payload

    def pack(self) -> bytes:
        """The whole row, as engines store it."""
        body = self.body() + self.signer + self.tag
        return body + _CRC.pack(crc32(body))


def pack_plain(
    digest: bytes, label: bytes, key: bytes, document: bytes | bytearray | memoryview, raw_size: int
) -> bytes:
    """The row of a small data value without policies: the same bytes as ``Entry(...).pack()``, without the object."""
    sizes = (1, len(key), len(document), raw_size)
    head = _HOT_WRITE(_START, len(label), next(_write_ids), *sizes, time.time_ns(), digest)
    body = b"".join((head, label, key, document))
    return body + _CRC.pack(crc32(body))


def pack_measured(  # noqa: PLR0917
    digest: bytes, label: bytes, key: bytes, metadata: bytes, document: bytes | bytearray | memoryview, seconds: float
) -> bytes:
    """Like :func:`pack_plain` for a document that is not compressed, with metadata and the seconds that it took."""
    sizes = (1, len(key), len(metadata), 0, len(document), len(document))
    head = _HEADER.pack(
        *(_MAGIC, FORMAT_VERSION, 0, len(label), 0, new_write_id(), *sizes, time.time_ns(), 0, seconds, digest)
    )
    body = b"".join((head, label, key, metadata, document))
    return body + _CRC.pack(crc32(body))


def unpack_plain(blob: bytes, digest: bytes) -> tuple[bytes, bytes, float] | None:
    """``(label, document, seconds)`` of a plain row that is not compressed and never expires; ``None``: ask :func:`unpack`.

    The checksum and the key digest are checked here as there.
    """
    if not blob.startswith(_START) or len(blob) < _SHORTEST:
        return None
    key_size, meta_size, stored, raw_size, expires, seconds, found = _HOT_READ(blob)
    begin = HEADER_SIZE + blob[_LABEL_SIZE]
    document = begin + key_size + meta_size
    if expires or found != digest or stored != raw_size or document + stored + 4 != len(blob):
        return None
    if crc32(blob) != _RESIDUE:  # last, so that it is not computed twice for rows that take the long way
        return None
    return blob[HEADER_SIZE:begin], blob[document:-4], seconds


def plain_key(blob: bytes) -> bytes:
    """The encoded key in a row that :func:`unpack_plain` has accepted."""
    begin = HEADER_SIZE + blob[_LABEL_SIZE]
    return blob[begin : begin + int.from_bytes(blob[_KEY_SIZE], "little")]


def is_newer(blob: bytes) -> bool:
    """Whether a newer hashstash has written that row; one that is not sound is nobody's."""
    has_begin = len(blob) >= _SHORTEST and blob[:3] == _MAGIC
    return has_begin and blob[3] > FORMAT_VERSION and crc32(blob) == _RESIDUE


def is_whole(blob: bytes) -> bool:
    """Whether a row, of this format or a newer one, is as it was written, as far as its checksum tells."""
    return len(blob) >= _SHORTEST and crc32(blob) == _RESIDUE


def points_at_blob(blob: bytes) -> bool:
    """Whether a row's flags say that its payload lies in a blob file; the row is not checked."""
    return len(blob) > _FLAGS and bool(blob[_FLAGS] & _BLOB_BIT)


def is_begun(blob: bytes) -> bool:
    """Whether a row begins like an entry; it is not checked."""
    return blob.startswith(_MAGIC)


def may_be_newer(blob: bytes) -> bool:
    """Like :func:`is_newer` for a row that is not checked, since the checksum of a newer one may be another."""
    return is_begun(blob) and blob[_VERSION] > _START[_VERSION]


def unpack(blob: bytes, digest: bytes | None = None) -> Entry:
    """The entry in *blob*; raises CorruptEntry, or NewerFormat, before anything in it is believed.

    With *digest*, the entry must be the one of that key.
    """
    if len(blob) < _SHORTEST or crc32(blob) != _RESIDUE:
        raise CorruptEntry(_what_is_wrong(blob))
    fields = _HEADER.unpack_from(blob)
    if fields[0] != _MAGIC or not fields[1]:
        raise CorruptEntry("the row does not begin like an entry of hashstash")
    if fields[1] > FORMAT_VERSION:
        raise NewerFormat(
            f"the entry has format {fields[1]}, this hashstash reads up to {FORMAT_VERSION}; upgrade hashstash"
        )
    return _unpack_checked(blob, fields, digest)


def _unpack_checked(blob: bytes, fields: tuple[Any, ...], digest: bytes | None) -> Entry:
    _, _, flags, label_size, reserved, write_id, version, key_size, meta_size, reserved_too, stored, raw_size = fields[
        :12
    ]
    created, expires, seconds, found = fields[12:]
    if reserved or reserved_too:  # the one part of a row that a signature would not cover
        raise CorruptEntry("the entry's header has something where nothing belongs")
    label_end = HEADER_SIZE + label_size
    key_end = label_end + key_size
    begin = key_end + meta_size
    end = begin + stored
    signature = SIGNATURE_SIZE if flags & _SIGNED_BIT else 0
    if end + signature + 4 != len(blob):
        raise CorruptEntry("the sizes in the entry's header do not add up to its length")
    if digest is not None and found != digest:
        raise CorruptEntry("the row holds the entry of another key; it was copied there")
    entry = Entry(
        *(found, blob[HEADER_SIZE:label_end], blob[label_end:key_end], memoryview(blob)[begin:end], raw_size),
        *(_flag_of[flags], write_id, version, created, expires, seconds, blob[key_end:begin]),
    )
    if signature:
        entry.signer, entry.tag = blob[end : end + 8], blob[end + 8 : end + signature]
    return entry


def unpack_head(head: bytes, digest: bytes) -> Entry | None:
    """The entry of the row that begins with *head*, without its payload; nothing has been held against the checksum.

    ``None`` where that is not enough, since the row is here as a whole, is signed, or has metadata that end behind *head*.
    """
    end, flags = peek_sizes(head)
    fields = _HEADER.unpack_from(head)
    is_ours = fields[0] == _MAGIC and fields[1] == FORMAT_VERSION and fields[-1] == digest
    if not is_ours or flags & Flag.SIGNED or end > len(head) or end + fields[10] + 4 <= len(head):
        return None
    label, key = HEADER_SIZE + fields[3], HEADER_SIZE + fields[3] + fields[7]
    entry = Entry(digest, head[HEADER_SIZE:label], head[label:key], b"", fields[11], Flag(flags), fields[5], fields[6])
    entry.created_at, entry.expires_at, entry.seconds, entry.metadata = *fields[12:15], head[key:end]
    entry.unread = fields[10]
    return entry


def peek_sizes(head: bytes) -> tuple[int, int]:
    """``(bytes up to the end of the metadata, flags)`` of the row that begins with *head*, unchecked."""
    if len(head) < HEADER_SIZE:
        raise CorruptEntry("the row is shorter than an entry's header")
    fields = _HEADER.unpack_from(head)
    return HEADER_SIZE + fields[3] + fields[7] + fields[8], fields[2]


def row_size(head: bytes) -> int:
    """How many bytes the row has that begins with *head*, as its header says, unchecked; 0 if it does not begin like one."""
    if len(head) < HEADER_SIZE or not is_begun(head):
        return 0
    end, flags = peek_sizes(head)
    return end + int(_HEADER.unpack_from(head)[10]) + SIGNATURE_SIZE * bool(flags & _SIGNED_BIT) + _CRC.size


def _what_is_wrong(blob: bytes) -> str:
    if len(blob) < _SHORTEST:
        return f"the row is cut off: {len(blob)} bytes, an entry has at least {_SHORTEST}"
    return "the checksum does not fit: the row was changed or cut off after it was written"


def _first_write_id() -> itertools.count[int]:
    return itertools.count(int.from_bytes(os.urandom(8), "little") >> 1)


_write_ids = _first_write_id()


def new_write_id() -> bytes:
    """Eight bytes that no other write has: a random start for each process, and a counter."""
    return next(_write_ids).to_bytes(8, "little")


def _renew_in_child() -> None:
    global _write_ids
    _write_ids = _first_write_id()


forks.in_child(_renew_in_child)
