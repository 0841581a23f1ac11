"""Compression by Zstandard: smaller than LZ4, faster than zlib.

The payload is one frame that tells its size. Python 3.14 has Zstandard in its library; before, the package is needed.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from hashstash.compressors._stream import inflate
from hashstash.errors import CorruptEntry, MissingDependency

if TYPE_CHECKING:
    from hashstash.codec import Buffer

try:
    from compression import zstd as standard
except ImportError:
    standard = None  # type: ignore[assignment, unused-ignore]
try:
    import zstandard
except ImportError:
    zstandard = None  # type: ignore[assignment, unused-ignore]
if standard is None and zstandard is None:
    raise MissingDependency("the zstd compressor needs the package 'zstandard': pip install 'hashstash[zstd]'")

LEVEL = 3
_SMALLEST_WINDOW = 23
"""A decoder must reckon with windows of 8 MB, as the format recommends (the logarithm); ours are no larger than the result."""


class Zstd:
    """The Zstandard format, one frame."""

    name = "zstd"

    def encode(self, data: Buffer) -> bytes:
        """Return *data* compressed."""
        packed: bytes = standard.compress(data, LEVEL) if standard else zstandard.compress(data, LEVEL)
        return packed

    def decode(self, data: Buffer, raw_size: int) -> Buffer:
        """Return the original *raw_size* bytes, and never inflate more than those."""
        size = _size_in_library(data) if standard else _size_in_package(data)
        if size != raw_size:
            raise CorruptEntry(
                f"a stored zstd payload does not hold the {raw_size} bytes that it should; delete the entry"
            )
        return _inflate_by_library(data, raw_size) if standard else _inflate_by_package(data)


def _size_in_library(data: Buffer) -> int | None:
    try:
        size: int | None = standard.get_frame_info(data).decompressed_size
    except standard.ZstdError as error:
        raise _is_no_frame(error) from error
    return size


def _inflate_by_library(data: Buffer, raw_size: int) -> Buffer:
    window = min(
        max(_SMALLEST_WINDOW, raw_size.bit_length()), standard.DecompressionParameter.window_log_max.bounds()[1]
    )
    options = {standard.DecompressionParameter.window_log_max: window}
    start = functools.partial(standard.ZstdDecompressor, options=options)
    return inflate("zstd", start, data, raw_size, standard.ZstdError)


def _size_in_package(data: Buffer) -> int:
    try:
        size: int = zstandard.frame_content_size(data)
    except zstandard.ZstdError as error:
        raise _is_no_frame(error) from error
    return size


def _inflate_by_package(data: Buffer) -> bytes:
    try:
        raw: bytes = zstandard.ZstdDecompressor().decompress(data, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise _is_no_frame(error) from error
    return raw


def _is_no_frame(error: Exception) -> CorruptEntry:
    return CorruptEntry(f"a stored payload is no zstd frame ({error}); delete the entry")


PLUGIN = Zstd()
