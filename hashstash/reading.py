"""The long way of a read: checksum, expiry, policies, trust, blob files; then the codec that the entry names.

The short way of small data values, ``Store.load``, is beside this in ``store``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from hashstash import trust as trusting
from hashstash.blobs import BlobMissing, Reference
from hashstash.decoding import UnknownCodec, check_size, decoder_of, unfilter
from hashstash.entry import Entry, Flag, unpack
from hashstash.errors import BadEntry, CorruptEntry, MissingDependency, UntrustedEntry
from hashstash.trust import Trust
from hashstash.wording import shortened

Unreadable = TypeVar("Unreadable", BadEntry, MissingDependency, BadEntry | MissingDependency)

if TYPE_CHECKING:
    from hashstash.codec import Encoded
    from hashstash.store import Store

MISSING: Final = object()
_BLOB_BIT, _LOOSE_BIT = int(Flag.BLOB), int(Flag.LOOSE)
_NEEDS_CHECK = int(Flag.CODE | Flag.SIGNED)
_SHOWN_KEY = 80
_NEXT_STEP = "; overwrite it, or call stash.repair(), which moves it aside while there is room (stash.kept_aside())"


def open_row(store: Store, address: bytes | None, blob: bytes, key: Any = MISSING) -> Entry | None:
    """The entry in *blob* after checksum, expiry, policies and trust; ``None`` if it is not to be seen."""
    try:
        entry = unpack(blob, address)
        if entry.is_expired():
            return None
        found: Entry | None = entry
        for policy in store.policies:
            found = policy.on_read(found) if found is not None else None
        # Data without a signature needs no trust: all that check() would do takes longer than this question.
        if found is not None and (found.flags.value & _NEEDS_CHECK or store.trust is not Trust.MINE):
            trusting.check(found, _namespace_of(store, found), store.trust, row=blob)
        return found
    except BadEntry as error:
        raise explained(store, error, key, address) from error


def value_of(store: Store, entry: Entry, key: Any = MISSING) -> Any:
    """The decoded value of a checked entry."""
    try:
        encoded = encoded_of(store, entry)
        return decoder_of(entry.label).serializer.loads(encoded)
    except (BadEntry, MissingDependency) as error:
        raise explained(store, error, key, entry.digest) from error


def encoded_of(store: Store, entry: Entry) -> Encoded:
    """The serialized value of a checked entry, decompressed; its large buffers are mapped from their file."""
    if not entry.is_trusted and (entry.is_code or store.trust is Trust.STRICT):
        trusting.check(entry, _namespace_of(store, entry), store.trust)
    stored: bytes | memoryview = entry.payload
    if entry.flags.value & _BLOB_BIT:
        stored = _mapped(store, entry)
    store.counts.bytes_read += len(stored)
    return unfilter(entry.label, stored, entry.raw_size, entry.flags, is_trusted=entry.is_trusted)


def _mapped(store: Store, entry: Entry) -> memoryview:
    if store.blobs is None:
        raise BlobMissing("the entry points at a blob file, but its engine has none")
    is_signed = bool(entry.flags & Flag.SIGNED)
    store.may_have_blobs = True
    try:
        reference = Reference.unpack(entry.payload)
        # As what is decoded, and before anything is read or looked at. Base64 makes more of it, and less than twice as much.
        check_size(reference.size, max(entry.raw_size, reference.size // 2), is_trusted=entry.is_trusted)
        return store.blobs.map(reference, is_signed=is_signed)
    except BlobMissing:
        blob = store.engine.get(entry.digest)
        if blob is None:
            raise
        newer = unpack(blob, entry.digest)
        if newer.write_id == entry.write_id or newer.version != entry.version:
            raise
        # Replaced between our reading the row and its file: the row that is there now is the one to answer with.
        trusting.check(newer, _namespace_of(store, newer), store.trust)
        for name in ("payload", "label", "raw_size", "flags", "write_id", "is_trusted"):
            setattr(entry, name, getattr(newer, name))
        return _mapped(store, entry) if newer.flags & Flag.BLOB else memoryview(newer.payload)


def _namespace_of(store: Store, entry: Entry) -> str:
    return "" if entry.flags.value & _LOOSE_BIT else store.namespace


def explained(store: Store, error: Unreadable, key: Any, address: bytes | None) -> Unreadable:
    """*error* with the key and the place, and what to do about a damaged entry; of others their own text says that."""
    if address is not None and not isinstance(error, (UntrustedEntry, MissingDependency)):
        store.seen_bad.add(address)
    what = "an entry" if key is MISSING else f"the entry of {shortened(key, _SHOWN_KEY)}"
    is_damaged = isinstance(error, CorruptEntry) and not isinstance(error, UnknownCodec)
    return type(error)(f"{what} in {store.engine.location()}: {error}{_NEXT_STEP * is_damaged}")
