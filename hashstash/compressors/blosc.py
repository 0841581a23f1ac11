"""Compression by Blosc: LZ4 after a shuffle that puts the first bytes of all numbers together, then the second ones.

The payload is one Blosc chunk. The package ``blosc2`` reads the chunks of ``blosc`` too, not the other way round. Chunks
that this module would not write, such as lazy ones or ones that leave memory as it was, are not handed to the library.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from hashstash.errors import CorruptEntry, MissingDependency

if TYPE_CHECKING:
    from hashstash.codec import Buffer

try:
    import blosc2
except ImportError:
    blosc2 = None  # type: ignore[assignment, unused-ignore]
try:
    import blosc
except ImportError:
    blosc = None  # type: ignore[assignment, unused-ignore]
if blosc is None and blosc2 is None:
    raise MissingDependency("the blosc compressor needs the package 'blosc2': pip install 'hashstash[blosc]'")

ERRORS = (RuntimeError, ValueError) if blosc is None else (RuntimeError, ValueError, blosc.blosc_extension.error)
"""What the packages raise for bytes that are no chunk."""
LARGEST_CHUNK = 2**31 - 1 - 32
"""What one chunk can hold; larger data is kept raw."""
LEVEL = 5
ITEM_SIZES = (8, 4, 2, 1)
"""Sizes of numbers that the shuffle is tried with; text has the size 1, and is not shuffled."""
_SAMPLE = 16 * 1024
_HEADER = struct.Struct("<BBBBIII")  # format, format of LZ4, flags, item size, raw size, block size, size of the chunk
_FORMAT_1, _FORMAT_2 = 2, 5
_LZ4 = 1
_COPIED = 2
_BITSHUFFLE = 4
_FILTERS = {bytes((0, 0, 0, 0, 0, shuffle, _LZ4, 0)) + bytes(7) for shuffle in (0, 1)}
_CONTENT = (0x00, 0x10)  # ordinary, or nothing but zeros


class Blosc:
    """One Blosc chunk."""

    name = "blosc"

    def encode(self, data: Buffer) -> bytes:
        """Return *data* compressed, shuffled as a sample from its middle says."""
        view = memoryview(data).cast("B")
        if len(view) > LARGEST_CHUNK:
            raise OverflowError("one Blosc chunk holds less than 2 GB")
        begin = max(0, len(view) - _SAMPLE) // 2 // 64 * 64
        sample = view[begin : begin + _SAMPLE]
        return _compress(view, min(ITEM_SIZES, key=lambda size: len(_compress(sample, size))))

    def decode(self, data: Buffer, raw_size: int) -> bytes:
        """Return the original *raw_size* bytes, and never inflate more than those."""
        _check(data, raw_size)
        try:
            raw: bytes = blosc2.decompress2(data, nthreads=1) if blosc2 else blosc.decompress(data)
        except ERRORS as error:
            raise CorruptEntry(f"a stored payload is no Blosc chunk ({error}); delete the entry") from error
        if len(raw) != raw_size:
            raise _wrong_size(raw_size)
        return raw


def _compress(data: memoryview, item_size: int) -> bytes:
    packed: bytes
    if blosc2 is None:
        shuffle = blosc.SHUFFLE if item_size > 1 else blosc.NOSHUFFLE
        packed = blosc.compress(data, typesize=item_size, clevel=LEVEL, shuffle=shuffle, cname="lz4")
    else:
        last = blosc2.Filter.SHUFFLE if item_size > 1 else blosc2.Filter.NOFILTER
        filters = [*[blosc2.Filter.NOFILTER] * 5, last]
        # One thread: the user's own threads may be at work here, and a process that forks has none of Blosc's.
        packed = blosc2.compress2(
            data, typesize=item_size, clevel=LEVEL, codec=blosc2.Codec.LZ4, filters=filters, nthreads=1
        )
    return packed


def _check(data: Buffer, raw_size: int) -> None:
    """Raise CorruptEntry unless *data* begins like a chunk of ours that holds *raw_size* bytes."""
    view = memoryview(data).cast("B")
    if len(view) < _HEADER.size:
        raise _wrong_size(raw_size)
    version, _, flags, item_size, raw, block, size = _HEADER.unpack_from(view)
    if raw != raw_size or size != len(view):
        raise _wrong_size(raw_size)
    if not (flags >> 5 == _LZ4 or flags & _COPIED) or item_size not in ITEM_SIZES or block > max(raw, 1):
        raise CorruptEntry("a stored payload is a Blosc chunk that hashstash does not write; delete the entry")
    if version == _FORMAT_2 and (len(view) < 32 or bytes(view[16:31]) not in _FILTERS or view[31] not in _CONTENT):
        raise CorruptEntry("a stored payload is a Blosc chunk that hashstash does not write; delete the entry")
    if version not in {_FORMAT_1, _FORMAT_2} or (version == _FORMAT_1 and flags & _BITSHUFFLE):
        raise CorruptEntry("a stored payload is a Blosc chunk of an unknown format; delete the entry")
    if version == _FORMAT_2 and blosc2 is None:
        raise MissingDependency(
            "a stored payload was written by 'blosc2', which 'blosc' cannot read: pip install blosc2"
        )


def _wrong_size(raw_size: int) -> CorruptEntry:
    return CorruptEntry(f"a stored blosc payload does not hold the {raw_size} bytes that it should; delete the entry")


PLUGIN = Blosc()
