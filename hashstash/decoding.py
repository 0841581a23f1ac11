"""Back from the payload of an entry to its value: by the label in the entry, and within the sizes that its writer may claim."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from hashstash.blobs import Reference
from hashstash.codec import LARGEST_CONTENT, Buffer, Encoded, Filter, Payload, Serializer, take_apart
from hashstash.entry import Entry, Flag
from hashstash.errors import CorruptEntry, UnknownPlugin, UntrustedEntry
from hashstash.registry import COMPRESSORS, FILTERS, SERIALIZERS

_MIB = 1 << 20
_LARGEST_FOREIGN = 1024 * _MIB
_LARGEST_FOREIGN_BOMB = 64 * _MIB
_BOMB_RATIO = 200
_CODE_BIT, _PARTS_BIT, _B64_BIT, _BLOB_BIT = int(Flag.CODE), int(Flag.PARTS), int(Flag.B64), int(Flag.BLOB)


class UnknownCodec(CorruptEntry):
    """The entry is whole, and names a codec that is not here."""


class Decoder(NamedTuple):
    """What a label names: how payloads of that codec are read."""

    serializer: Serializer
    compressor: Filter | None
    loads_plain: Callable[[Buffer], Any] | None
    """Decodes a document without buffers that is data, as cheaply as the serializer can."""


_decoders: dict[bytes, Decoder] = {}


def decoder_of(label: bytes) -> Decoder:
    """The decoder that an entry's label names; MissingDependency where its package is not installed, else UnknownCodec."""
    found = _decoders.get(label)
    if found is None:
        found = _decoders[label] = _load_decoder(label)
    return found


def _load_decoder(label: bytes) -> Decoder:
    try:
        serializer_name, _, compressor_name = label.decode("ascii").partition("+")
        serializer = SERIALIZERS.load(serializer_name)
        compressor = COMPRESSORS.load(compressor_name) if compressor_name else None
    except (UnicodeDecodeError, UnknownPlugin) as error:
        raise UnknownCodec(
            f"the entry was written by a codec {label!r} that this hashstash does not have; upgrade hashstash, or install the"
            " package that brings it"
        ) from error
    return Decoder(serializer, compressor, None if compressor else getattr(serializer, "loads_plain", None))


class PlainLoaders(dict[bytes, Callable[[Any], Any]]):
    """By label, the short way to decode a document; a codec that has none raises."""

    def __missing__(self, label: bytes) -> Callable[[Any], Any]:
        loads = decoder_of(label).loads_plain
        if loads is None:
            raise KeyError(label)
        self[label] = loads
        return loads


def unfilter(label: bytes, stored: Buffer, raw_size: int, flags: Flag, *, is_trusted: bool) -> Encoded:
    """The encoded value in an entry's payload; sizes beyond what a stranger may ask for are refused before any is allocated."""
    if raw_size > _LARGEST_FOREIGN_BOMB:  # everybody may claim as much as that
        check_size(len(stored), raw_size, is_trusted=is_trusted)
    decoder, bits = decoder_of(label), flags.value  # an ``&`` of flags takes longer than the rest of this
    data = stored
    if bits & _B64_BIT:
        packed_size = raw_size if decoder.compressor is None else _size_of_text(data)
        data = FILTERS.load("b64").decode(data, packed_size)
    if decoder.compressor is not None:
        data = decoder.compressor.decode(data, raw_size)
    if len(data) != raw_size:
        raise CorruptEntry(f"the payload has {len(data)} bytes where its header says {raw_size}")
    is_code = bool(bits & _CODE_BIT)
    return take_apart(data, is_code=is_code) if bits & _PARTS_BIT else Encoded(data, (), is_code)


def _size_of_text(text: Buffer) -> int:
    """How many bytes the base64 in *text* stands for."""
    return len(text) // 4 * 3 - bytes(text[-2:]).count(b"=")


def check_size(stored: int, raw_size: int, *, is_trusted: bool) -> None:
    """Raise if a payload claims a size that its writer may not claim: UntrustedEntry if somebody trusted might."""
    limit = LARGEST_CONTENT if is_trusted else _limit_of_strangers(stored, raw_size)
    if raw_size <= limit:
        return
    what = f"the entry claims {raw_size:,} bytes of content in {stored:,}"
    if raw_size > LARGEST_CONTENT:
        raise CorruptEntry(f"{what}; at most {LARGEST_CONTENT:,} are accepted from anybody")
    raise UntrustedEntry(
        f"{what}, and was not signed by a key that you trust; without that, at most {limit:,} are accepted;"
        " if you trust whoever wrote it, call stash.trust(), or %stash trust in a notebook"
    )


def _limit_of_strangers(stored: int, raw_size: int) -> int:
    return _LARGEST_FOREIGN_BOMB if raw_size > _BOMB_RATIO * stored else _LARGEST_FOREIGN


def needs_signature(payload: Payload) -> bool:
    """Whether a reader who does not trust the writer would refuse the payload, be it for code or for its size."""
    return bool(payload.flags & Flag.CODE) or payload.raw_size > _limit_of_strangers(payload.size, payload.raw_size)


def needs_trust(entry: Entry) -> bool:
    """Whether *entry* claims so many bytes of content that only somebody trusted may; whether it is code does not matter here."""
    if not _LARGEST_FOREIGN_BOMB < entry.raw_size <= LARGEST_CONTENT:  # which everybody may, or nobody
        return False
    stored = len(entry.payload) or entry.unread
    if entry.flags.value & _BLOB_BIT and not entry.unread:
        try:
            stored = Reference.unpack(entry.payload).size
        except CorruptEntry:
            return False  # nobody's signature makes that good
    return entry.raw_size > _limit_of_strangers(stored, entry.raw_size)
