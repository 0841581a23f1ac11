"""What users say about an entry beside its value: a dict of notes, and tags; plain data in the entry's header.

The bytes of an entry's ``metadata`` begin with the digest of the function whose result it is, in the stash of a function, and
end with a document, if there is one, its size, a version number and ``hsm``::

    context   document   I  size of the document   B  1   "hsm"
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from hashstash.codec import pack_key, unpack_key
from hashstash.errors import CorruptEntry, NewerFormat, UnsupportedValue
from hashstash.registry import SERIALIZERS
from hashstash.wording import shortened, size_text

_END = struct.Struct("<IB3s")
_MAGIC = b"hsm"
_LAYOUT = 1
_LARGEST = 1 << 20
_SHOWN = 60


class Notes(NamedTuple):
    """What was said about an entry."""

    meta: Mapping[str, Any]
    tags: tuple[str, ...]


NO_NOTES = Notes({}, ())


def pack_notes(meta: Mapping[str, Any] | None, tags: Iterable[str] | None) -> bytes:
    """The end of an entry's metadata; empty where nothing is said. TypeError for what is no plain data."""
    described: dict[str, Any] = {}
    if meta:
        described["meta"] = _checked_meta(meta)
    if tags:
        described["tags"] = _checked_tags(tags)
    if not described:
        return b""
    try:
        encoded = SERIALIZERS.load("hashstash").dumps(described)
    except UnsupportedValue as error:
        raise UnsupportedValue(f"meta={shortened(meta, _SHOWN)} cannot be stored: {error}") from error
    if encoded.is_code:
        raise UnsupportedValue(
            f"meta={shortened(meta, _SHOWN)} needs code to be read; it takes plain data: numbers, text, times, lists, dicts"
        )
    document = pack_key(encoded)
    if len(document) > _LARGEST:
        raise UnsupportedValue(
            f"meta has {size_text(len(document))}; at most {size_text(_LARGEST)} are kept beside a value"
        )
    return document + _END.pack(len(document), _LAYOUT, _MAGIC)


def _checked_meta(meta: Any) -> dict[str, Any]:
    if not isinstance(meta, Mapping):
        raise TypeError(
            f"meta={shortened(meta, _SHOWN)}; it is a dict of names and plain data, such as {{'accuracy': 0.9}}"
        )
    for name in meta:
        if not isinstance(name, str):
            raise TypeError(
                f"meta has the name {shortened(name, _SHOWN)}; names are text, so that entries can be found by them"
            )
    return dict(meta)


def _checked_tags(tags: Any) -> list[str]:
    found = [tags] if isinstance(tags, str) else list(tags) if isinstance(tags, Iterable) else [tags]
    for tag in found:
        if not isinstance(tag, str):
            raise TypeError(f"tags={shortened(tags, _SHOWN)}; they are texts, such as ['paper', 'final']")
    return list(dict.fromkeys(found))


def _document_in(metadata: bytes) -> bytes | None:
    """The document at the end of an entry's metadata; ``None`` if there is none."""
    if len(metadata) < _END.size or metadata[-3:] != _MAGIC:
        return None
    size, layout, _ = _END.unpack_from(metadata, len(metadata) - _END.size)
    if size > len(metadata) - _END.size:
        return None  # the digest of a function that happens to end like this
    if layout > _LAYOUT:
        raise NewerFormat("the entry has notes of a newer format; upgrade hashstash")
    return metadata[len(metadata) - _END.size - size : -_END.size]


def notes_bytes(metadata: bytes) -> bytes:
    """The part of an entry's metadata that :func:`pack_notes` made, to be stored with another entry."""
    document = _document_in(metadata)
    return b"" if document is None else metadata[-(len(document) + _END.size) :]


def read_notes(metadata: bytes) -> Notes:
    """What was said about the entry with these bytes; decoding it neither imports nor calls anything."""
    document = _document_in(metadata)
    if document is None:
        return NO_NOTES
    encoded = unpack_key(document)
    found = None if encoded.is_code else SERIALIZERS.load("hashstash").loads(encoded)
    meta, tags = (found.get("meta", {}), found.get("tags", [])) if type(found) is dict else (None, None)
    if type(meta) is not dict or type(tags) is not list or not all(type(text) is str for text in (*meta, *tags)):
        raise CorruptEntry("the entry's notes are not a dict of names and a list of tags")
    return Notes(meta, tuple(tags))
