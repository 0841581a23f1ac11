"""Values in a frame of their own, outside of any stash: what ``serialize`` gives and ``deserialize`` takes."""

from __future__ import annotations

import time
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hashstash import trust as trusting
from hashstash.codec import Buffer, Codec, Payload, key_is_code
from hashstash.decoding import decoder_of, needs_signature, unfilter
from hashstash.entry import Entry, Flag, new_write_id, unpack
from hashstash.errors import CorruptEntry, UntrustedEntry
from hashstash.open import compressor_name
from hashstash.registry import COMPRESSORS, SERIALIZERS
from hashstash.trust import Trust

if TYPE_CHECKING:
    from hashstash.store import Store

_NO_KEY = bytes(16)
_MAGIC = b"HST"


def to_loose(payload: Payload, *, b64: bool = False) -> bytes:
    """*payload* in a frame, signed if it needs code; base64 text with *b64*."""
    entry = Entry(_NO_KEY, payload.label, b"", bytes(payload.join()), payload.raw_size, payload.flags | Flag.LOOSE)
    entry.write_id, entry.created_at = new_write_id(), time.time_ns()
    if needs_signature(payload):
        trusting.keyring().sign(entry, "")
    frame = entry.pack()
    return b64encode(frame) if b64 else frame


def from_loose(data: Buffer | str, store: Store | None = None) -> Any:
    """The value in a frame; with *store*, also in a row of that store. Foreign code raises UntrustedEntry."""
    entry = unpack(_frame(data))
    if store is not None and not entry.flags & Flag.LOOSE:
        trusting.check(entry, store.namespace, store.trust)
        return store.value_of(entry)
    if entry.flags & Flag.BLOB:
        raise CorruptEntry("the frame points at a blob file of a stash; decode it with that stash")
    trusting.check(entry, "", store.trust if store else Trust.MINE)
    encoded = unfilter(entry.label, entry.payload, entry.raw_size, entry.flags, is_trusted=entry.is_trusted)
    return decoder_of(entry.label).serializer.loads(encoded)


def loose_key(data: bytes) -> bytes:
    """A stored key as it may leave the stash: data as it is, what needs code in a signed frame."""
    if not key_is_code(data):
        return data
    return to_loose(Payload(b"hashstash", [data], len(data), len(data), Flag.CODE))


def key_from_loose(data: Buffer, store: Store) -> Any:
    """The key in *data*, which :func:`loose_key` made."""
    raw = _bytes_of(data)
    if raw[:3] != _MAGIC:
        if key_is_code(raw):
            raise UntrustedEntry("the key needs code to be decoded and nobody signed it here; call stash.trust() first")
        return store.keys.decode(raw)
    entry = unpack(raw)
    if key_is_code(entry.payload):
        entry.flags |= Flag.CODE  # whatever the frame says
    trusting.check(entry, "", store.trust)
    return store.keys.decode(entry.payload)


def _bytes_of(data: Buffer | str) -> bytes:
    try:
        return data.encode("ascii", "replace") if isinstance(data, str) else bytes(memoryview(data))
    except TypeError as error:
        raise TypeError(
            f"a {type(data).__name__} is nothing to decode; give the bytes or the text that an encoder made"
        ) from error


def _frame(data: Buffer | str) -> bytes:
    raw = _bytes_of(data)
    if raw[:3] == _MAGIC:
        return raw
    try:
        return b64decode(b"".join(raw.split()), validate=True)  # files and mails put line breaks into text
    except (Base64Error, ValueError) as error:
        raise CorruptEntry("the data is neither a frame of hashstash nor base64 text of one") from error


def serialize(value: Any, serializer: str = "hashstash") -> bytes:
    """*value* as self-describing bytes, not compressed; what needs code is signed with your key."""
    return to_loose(Codec(serializer, "raw").encode(value))


def deserialize(data: Buffer | str, serializer: str = "hashstash") -> Any:
    """The value that :func:`serialize` was given; the data itself says which serializer wrote it."""
    SERIALIZERS.load(serializer)
    return from_loose(data)


def encode(value: Any, compress: str | bool = True, b64: bool = True, *, serializer: str = "hashstash") -> bytes:
    """*value* serialized and compressed, as base64 text by default; ``True`` is lz4 where it is installed, else zlib."""
    return to_loose(Codec(serializer, _compressor_name(compress)).encode(value), b64=b64)


def decode(data: Buffer | str, compress: str | bool = True, b64: bool = True) -> Any:  # noqa: ARG001
    """The value that :func:`encode` was given; the data itself says how it was compressed and whether it is text."""
    _compressor_name(compress)
    return from_loose(data)


@dataclass(frozen=True, slots=True)
class Serializer:
    """:func:`serialize` with its argument kept: ``Serializer("pickle").serialize(value)``, or called like a function."""

    serializer: str = "hashstash"

    def __post_init__(self) -> None:
        SERIALIZERS.load(self.serializer)

    def serialize(self, value: Any) -> bytes:
        """*value* as self-describing bytes."""
        return serialize(value, self.serializer)

    __call__ = serialize


@dataclass(frozen=True, slots=True)
class Deserializer:
    """:func:`deserialize` as an object: ``Deserializer().deserialize(data)``, or called like a function."""

    serializer: str = "hashstash"

    def __post_init__(self) -> None:
        SERIALIZERS.load(self.serializer)

    def deserialize(self, data: Buffer | str) -> Any:
        """The value in *data*, whichever serializer wrote it."""
        return deserialize(data, self.serializer)

    __call__ = deserialize


@dataclass(frozen=True, slots=True)
class Encoder:
    """:func:`encode` with its arguments kept: ``Encoder("zstd", b64=False).encode(value)``, or called like a function."""

    compress: str | bool = True
    b64: bool = True
    serializer: str = "hashstash"

    def __post_init__(self) -> None:
        Codec(self.serializer, _compressor_name(self.compress))

    def encode(self, value: Any) -> bytes:
        """*value* serialized and compressed."""
        return encode(value, self.compress, self.b64, serializer=self.serializer)

    __call__ = encode


@dataclass(frozen=True, slots=True)
class Decoder:
    """:func:`decode` as an object: ``Decoder().decode(data)``, or called like a function."""

    compress: str | bool = True
    b64: bool = True

    def __post_init__(self) -> None:
        _compressor_name(self.compress)

    def decode(self, data: Buffer | str) -> Any:
        """The value in *data*, however it was encoded."""
        return decode(data, self.compress, self.b64)

    __call__ = decode


def _compressor_name(name: str | bool) -> str:
    return compressor_name(name) if isinstance(name, bool) else str(COMPRESSORS.load(name).name)
