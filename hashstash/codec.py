"""Between an object and the bytes of an entry: a serializer, then a compressor, then perhaps a text filter.

A :class:`Serializer` turns an object into an :class:`Encoded`: one document and any number of large buffers beside it, so that
the memory of an array is never copied on its way to a file. Compressors and filters are both a :class:`Filter`, bytes to bytes.

A payload with buffers is laid out with each buffer at a multiple of 64 bytes, in a blob file or in the row::

    "P1"  H  reserved   I  number of buffers   Q  size of the document   Q... sizes of the buffers   document   buffers
"""

from __future__ import annotations

import mmap
import struct
from array import array
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

from hashstash.entry import Flag
from hashstash.errors import CorruptEntry, UnsupportedValue
from hashstash.registry import COMPRESSORS, FILTERS, SERIALIZERS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Buffer: TypeAlias = bytes | bytearray | memoryview

ALIGNMENT = 64
SMALLEST_COMPRESSED = 512
_SAMPLE = 16 * 1024
_SMALLEST_SAMPLE = 4 * 1024
_SMALLEST_JUDGED = 64 * 1024
"""Below this, decompressing is so quick that any gain is taken."""
_SMALLEST_SAMPLED = 256 * 1024
"""Documents up to this size are compressed without a look at samples: nearly all of them shrink."""
_MOST_SAMPLED = 8
_WORTH_IT_DOCUMENT = 0.9
_WORTH_IT_BUFFERS = 0.6
_WORTH_IT_MAPPED = (
    0.3  # raw, a buffer is mapped in microseconds; it must shrink a lot to be worth decompressing each time
)
_PARTS = struct.Struct("<2sHIQ")
_MOST_BUFFERS = 1 << 20
_ZEROS = bytes(ALIGNMENT)
_ONE_BYTE = array("B", b"\0")
_KEY_HAS_BUFFERS = 1
KEY_IS_CODE = 2
"""The bit in an encoded key's first byte that says that decoding it imports or calls something."""
_MIB = 1 << 20
LARGEST_CONTENT = 4096 * _MIB
"""Bytes of a value in one entry: more is accepted from nobody when it is read, so that it is refused when it is written."""
_LARGEST_KEY = (1 << 32) - 1
_NO_FLAGS = Flag(0)


class Encoded(NamedTuple):
    """A value in its serialized form.

    ``document`` is what the serializer wrote; ``buffers`` are raw bytes that the document refers to by their position;
    ``is_code`` says that decoding imports or calls something, so that the entry must be signed and trusted.
    """

    document: Buffer
    buffers: Sequence[Buffer] = ()
    is_code: bool = False


@runtime_checkable
class Serializer(Protocol):
    """Objects to bytes and back. One instance serves a whole process and is thread-safe."""

    name: str

    def dumps(self, value: Any) -> Encoded:
        """Return *value* encoded; raise :class:`~hashstash.errors.UnsupportedValue` naming the part that cannot be."""

    def loads(self, encoded: Encoded) -> Any:
        """Return the value that :meth:`dumps` was given.

        Only with ``encoded.is_code`` may anything be imported or called. Buffers that are writable memory may be used in
        place. Malformed input raises :class:`~hashstash.errors.CorruptEntry` and nothing else.
        """


@runtime_checkable
class Filter(Protocol):
    """Bytes to bytes and back: a compressor or a text encoding. Stateless and thread-safe."""

    name: str

    def encode(self, data: Buffer) -> bytes:
        """Return *data* in its filtered form."""

    def decode(self, data: Buffer, raw_size: int) -> Buffer:
        """Return the original bytes, which are exactly *raw_size* long.

        Never allocates more than *raw_size* bytes for the result; anything else than what :meth:`encode` made of
        *raw_size* bytes raises :class:`~hashstash.errors.CorruptEntry`.
        """


def lay_out(encoded: Encoded) -> list[Buffer]:
    """The pieces of a payload with buffers, in order, padding included."""
    buffers = [memoryview(buffer).cast("B") for buffer in encoded.buffers]
    sizes = struct.pack(f"<{len(buffers)}Q", *map(len, buffers))
    head = _PARTS.pack(b"P1", 0, len(buffers), len(encoded.document)) + sizes
    pieces: list[Buffer] = [head, encoded.document]
    position = len(head) + len(encoded.document)
    for buffer in buffers:
        gap = -position % ALIGNMENT
        if gap:
            pieces.append(_ZEROS[:gap])
        pieces.append(buffer)
        position += gap + len(buffer)
    return pieces


def take_apart(payload: Buffer, *, is_code: bool) -> Encoded:
    """The document and buffers in *payload*, as views into it, or into one copy of it where it is no mapped file."""
    view = _aligned(memoryview(payload))
    try:
        magic, _, count, document_size = _PARTS.unpack_from(view)
        if magic != b"P1" or count > _MOST_BUFFERS:
            raise CorruptEntry("the payload does not begin like a document with buffers")
        sizes = struct.unpack_from(f"<{count}Q", view, _PARTS.size)
    except struct.error as error:
        raise CorruptEntry("the payload ends before its buffers do") from error
    begin = _PARTS.size + 8 * count
    position = begin + document_size
    document = view[begin:position]
    buffers = []
    for size in sizes:
        position += -position % ALIGNMENT
        buffers.append(view[position : position + size])
        position += size
    if position != len(view):
        raise CorruptEntry("the sizes of the buffers do not add up to the payload's")
    return Encoded(document, buffers, is_code)


def _aligned(payload: memoryview) -> memoryview:
    """*payload* in writable memory that begins at a multiple of 64 bytes, so that each of its buffers does too."""
    if isinstance(payload.obj, mmap.mmap):
        return payload
    size = len(payload)
    if size >= _MIB:  # fresh pages, which need not be filled with zeros before they are written
        copy = memoryview(mmap.mmap(-1, size, access=mmap.ACCESS_COPY))
    else:
        memory = _ONE_BYTE * (size + ALIGNMENT)
        start = -memory.buffer_info()[0] % ALIGNMENT
        copy = memoryview(memory)[start : start + size]
    copy[:] = payload
    return copy


class Payload(NamedTuple):
    """A value on its way into an entry: bytes in pieces, and what the entry's header must say about them."""

    label: bytes
    pieces: list[Buffer]
    size: int
    raw_size: int
    flags: Flag

    def join(self) -> Buffer:
        """The payload in one piece."""
        return self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)


class Codec:
    """A serializer with its filters: values to payloads. Reading goes by the label in the entry, so any codec's will do."""

    def __init__(self, serializer: str, compressor: str, *, b64: bool = False) -> None:
        self.serializer_name = serializer
        self.compressor_name = compressor
        self.b64 = b64
        self.serializer: Serializer
        self._compressor: Filter = COMPRESSORS.load(compressor)
        self._text: Filter | None = FILTERS.load("b64") if b64 else None
        self.write_by(SERIALIZERS.load(serializer))
        self.raw_label = serializer.encode()
        self.stored_below = 0 if b64 else SMALLEST_COMPRESSED
        """Documents of fewer bytes than this are stored as the serializer wrote them."""
        self._packed_label = f"{serializer}+{compressor}".encode()

    def write_by(self, serializer: Serializer) -> None:
        """Let values be written by *serializer*, which is the codec's own with something before it."""
        self.serializer = serializer
        self._dumps_plain = plain_writer(serializer)

    @property
    def label(self) -> str:
        """The codec in the names of folders, such as ``hashstash.lz4+b64``."""
        return f"{self.serializer_name}.{self.compressor_name}" + ("+b64" if self.b64 else "")

    def encode(self, value: Any, *, mapped: bool = False) -> Payload:
        """*value* as a payload."""
        document = self._dumps_plain(value)
        if document is None:
            return self.payload(self.serializer.dumps(value), mapped=mapped)
        size = len(document)
        if size < self.stored_below:
            return Payload(self.raw_label, [document], size, size, _NO_FLAGS)
        return self.payload(Encoded(document), mapped=mapped)

    def payload(self, encoded: Encoded, *, mapped: bool = False) -> Payload:
        """The payload of a value that this codec's serializer has encoded already; compressed where that pays.

        *mapped* says that raw buffers will be mapped from a file when they are read, so that compressing them pays less.
        """
        flags = Flag.CODE if encoded.is_code else _NO_FLAGS
        pieces: list[Buffer] = [encoded.document]
        if encoded.buffers:
            flags |= Flag.PARTS
            pieces = lay_out(encoded)
        raw_size = size = sum(map(len, pieces))
        if raw_size > LARGEST_CONTENT:
            raise UnsupportedValue(
                f"the value takes {raw_size:,} bytes, and an entry holds at most {LARGEST_CONTENT:,}; store it in parts"
            )
        label = self.raw_label
        if size >= SMALLEST_COMPRESSED and self.compressor_name != "raw" and self._pays(encoded, size, mapped=mapped):
            packed = self._compressed(pieces[0] if len(pieces) == 1 else b"".join(pieces))
            most = size if size <= _SMALLEST_JUDGED else _WORTH_IT_DOCUMENT * size
            if packed is not None and len(packed) < most:
                label, pieces, size = self._packed_label, [packed], len(packed)
        if self._text is not None:
            text = self._text.encode(pieces[0] if len(pieces) == 1 else b"".join(pieces))
            pieces, size, flags = [text], len(text), flags | Flag.B64
        return Payload(label, pieces, size, raw_size, flags)

    def _compressed(self, data: Buffer) -> bytes | None:
        try:
            return self._compressor.encode(data)
        except OverflowError:
            return None  # more than this compressor can hold: kept raw

    def _pays(self, encoded: Encoded, size: int, *, mapped: bool) -> bool:
        """Whether samples say that compressing the payload is worth its time."""
        in_buffers = sum(memoryview(buffer).nbytes for buffer in encoded.buffers) if encoded.buffers else 0
        if not in_buffers and size <= _SMALLEST_SAMPLED:
            return True
        if 2 * in_buffers > size:
            largest = _largest(encoded.buffers)
            length = max(_SMALLEST_SAMPLE, _SAMPLE // len(largest))
            samples = [sample for buffer in largest for sample in _samples(buffer, length)]
            limit = _WORTH_IT_MAPPED if mapped else _WORTH_IT_BUFFERS
        else:
            samples, limit = _samples(encoded.document), _WORTH_IT_DOCUMENT
        most, packed = limit * sum(map(len, samples)), 0
        for sample in samples:
            packed += len(self._compressor.encode(sample))
            if packed >= most:  # whatever the rest may be
                return False
        return True


def _largest(buffers: Sequence[Buffer]) -> list[memoryview]:
    views = [memoryview(buffer).cast("B") for buffer in buffers]
    return sorted(views, key=len, reverse=True)[:_MOST_SAMPLED]


def _samples(data: Buffer, length: int = _SAMPLE) -> list[memoryview]:
    view = memoryview(data).cast("B")
    if len(view) <= 3 * length:
        return [view]
    middle, last = len(view) // 2, len(view) - length
    return [view[start : start + length] for start in (0, middle, last)]


def no_plain_form(_: Any) -> None:
    """What :func:`plain_writer` gives for a serializer without a quick way: nothing is written by it."""


def plain_writer(serializer: Serializer) -> Callable[[Any], bytes | None]:
    """The serializer's quick way to a document of small data; ``None`` comes back for what it leaves to ``dumps``."""
    writer: Callable[[Any], bytes | None] = getattr(serializer, "dumps_plain", no_plain_form)
    return writer


def key_is_code(data: Buffer) -> bool:
    """Whether decoding an encoded key imports or calls something, whatever the header of its row says."""
    return bool(len(data) and data[0] & KEY_IS_CODE)


def pack_key(encoded: Encoded) -> bytes:
    """An encoded key as it stands in the row: one byte that says how to read it, then the document."""
    if not (encoded.buffers or encoded.is_code):
        return b"\0" + encoded.document
    kind = (_KEY_HAS_BUFFERS if encoded.buffers else 0) | (KEY_IS_CODE if encoded.is_code else 0)
    pieces = lay_out(encoded) if encoded.buffers else [encoded.document]
    size = 1 + sum(map(len, pieces))
    if size > _LARGEST_KEY:
        raise UnsupportedValue(f"the key takes {size:,} bytes, and a key may have {_LARGEST_KEY:,}; use a part of it")
    return b"".join([bytes([kind]), *pieces])


def unpack_key(data: Buffer) -> Encoded:
    """The inverse of :func:`pack_key`."""
    if not len(data) or data[0] > (_KEY_HAS_BUFFERS | KEY_IS_CODE):
        raise CorruptEntry("the key does not begin like an encoded key")
    rest, is_code = memoryview(data)[1:], bool(data[0] & KEY_IS_CODE)
    return take_apart(rest, is_code=is_code) if data[0] & _KEY_HAS_BUFFERS else Encoded(rest, (), is_code)
