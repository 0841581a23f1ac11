"""Inflating what may be a bomb: never more than was announced, and large results piece by piece.

One call of ``decompress`` for a large result holds it twice for a moment, and a stream that lies about its size is noticed
only at the end. So a large result is collected from pieces, and one that is suspiciously much larger than its source is
measured first, without being kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from hashstash.errors import CorruptEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hashstash.codec import Buffer

ONE_GO = 1 << 20
"""Results up to this size are inflated by one call."""
_FED = 64 * 1024
_SUSPICIOUS = 16 * ONE_GO
_RATIO = 16


class Stream(Protocol):
    """A decompressor at work, as the standard library's ``bz2`` has it."""

    @property
    def eof(self) -> bool:
        """Whether the end of the stream was met."""

    @property
    def needs_input(self) -> bool:
        """Whether everything that the input so far stands for was given out."""

    @property
    def unused_data(self) -> Buffer:
        """What was fed beyond the end of the stream."""

    def decompress(self, data: Buffer, max_length: int) -> bytes:
        """Feed *data*, and give out at most *max_length* bytes."""


def inflate(name: str, start: Callable[[], Stream], data: Buffer, raw_size: int, error: type[Exception]) -> Buffer:
    """The *raw_size* bytes that *data* stands for, which is exactly one stream; else CorruptEntry.

    *start* begins a stream of the format *name*, and *error* is what it raises for bytes that are no such stream.
    """
    try:
        raw = _inflated(start, memoryview(data), raw_size)
    except (error, EOFError) as problem:
        raise CorruptEntry(f"a stored payload is no {name} stream ({problem}); delete the entry") from problem
    if raw is None:
        raise CorruptEntry(
            f"a stored {name} payload does not hold the {raw_size} bytes that it should; delete the entry"
        )
    return raw


def _inflated(start: Callable[[], Stream], data: memoryview, raw_size: int) -> Buffer | None:
    if raw_size <= ONE_GO:
        stream = start()
        small = stream.decompress(data, raw_size + 1)  # one more than promised, to see whether there is more
        return small if len(small) == raw_size and stream.eof and not stream.unused_data else None
    if raw_size > _SUSPICIOUS and raw_size > _RATIO * len(data) and not _is_as_long(start(), data, raw_size):
        return None
    raw, stream = bytearray(), start()
    for piece in _pieces(stream, data):
        if len(raw) + len(piece) > raw_size:
            return None
        raw += piece
    return raw if len(raw) == raw_size and stream.eof and not stream.unused_data else None


def _is_as_long(stream: Stream, data: memoryview, raw_size: int) -> bool:
    length = 0
    for piece in _pieces(stream, data):
        length += len(piece)
        if length > raw_size:
            return False
    return length == raw_size


def _pieces(stream: Stream, data: memoryview) -> Iterator[bytes]:
    """What *data* stands for, in pieces; EOFError if the stream ends before *data* does."""
    for begin in range(0, len(data), _FED):
        if stream.eof:
            raise EOFError("there are bytes after its end")
        yield stream.decompress(data[begin : begin + _FED], ONE_GO)
        while not (stream.eof or stream.needs_input):
            yield stream.decompress(b"", ONE_GO)
