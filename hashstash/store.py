"""The path of a value: key -> address, value -> payload -> entry -> policies -> engine, and back.

``HashStash`` is the facade over this; everything that needs entries rather than values (functions, cells, listings) calls it
directly. A row that is data, never expires and lies in one piece takes the short way through ``load`` and ``save``.
"""

from __future__ import annotations

import contextlib
import logging
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from hashstash import trust as trusting
from hashstash.blobs import SMALLEST_BLOB, BlobMissing, BlobStore, Reference
from hashstash.codec import (
    Codec,
    Encoded,
    Payload,
    decoder_of,
    key_is_code,
    needs_signature,
    no_plain_form,
    plain_writer,
    unfilter,
)
from hashstash.engine import WRITE_ID, Capability, Engine
from hashstash.entry import Entry, Flag, new_write_id, pack_plain, plain_key, points_at_blob, unpack, unpack_plain
from hashstash.errors import BadEntry, Conflict, CorruptEntry, NewerFormat, UntrustedEntry
from hashstash.policies import versions
from hashstash.policies.time_to_live import expiry
from hashstash.trust import Trust

if TYPE_CHECKING:
    from hashstash.key_codec import EncodedKey, KeyCodec
    from hashstash.policy import Policy

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

MISSING: Final = object()
_MOST_RETRIES = 50
_EXPIRING = b"expiring"
_BAD = "bad"
_SHOWN_KEY = 80
_BATCH_BYTES = 8 << 20  # addresses are random, so that a small batch would rewrite half of a tree for each few rows


@dataclass
class Counts:
    """What one stash object has done in this process."""

    hits: int = 0
    misses: int = 0
    sets: int = 0
    deletes: int = 0
    bytes_read: int = 0
    bytes_written: int = 0


@dataclass(frozen=True)
class WriteOptions:
    """What a caller may say about one write."""

    seconds: float = 0.0
    """How long computing the value took."""
    ttl: float | None = None
    """Seconds until the entry is over; ``None``: as the stash says."""
    sign: bool = False
    """Sign the entry even if it is data."""
    metadata: bytes = b""


_PLAIN_WRITE = WriteOptions()


class _Loaders(dict[bytes, Callable[[Any], Any]]):
    """By label, the short way to decode a document; a codec that has none raises."""

    def __missing__(self, label: bytes) -> Callable[[Any], Any]:
        loads = decoder_of(label).loads_plain
        if loads is None:
            raise KeyError(label)
        self[label] = loads
        return loads


@dataclass
class Store:
    """Entries of one stash: an engine, a codec, a key codec, policies, and whom to trust."""

    engine: Engine
    codec: Codec
    keys: KeyCodec
    policies: tuple[Policy, ...] = ()
    namespace: str = ""
    trust: Trust = Trust.MINE
    append: bool = False
    durable: bool = False
    counts: Counts = field(default_factory=Counts)

    def __post_init__(self) -> None:
        folder = self.engine.blob_folder() if Capability.LOCAL_FILES in self.engine.capabilities else None
        self.blobs = BlobStore(folder) if folder else None
        self._may_have_blobs = self.blobs is not None and self.blobs.exists()
        self._needs_head = self.append or any(policy.needs_head for policy in self.policies)
        self._is_plain = not self.policies and not self.append and self.trust is not Trust.STRICT
        self._loaders = _Loaders()
        self._dumps_plain = plain_writer(self.codec.serializer) if self._is_plain else no_plain_form
        self._seen_bad: set[bytes] = set()

    # ---- reading -------------------------------------------------------------------------------------------------

    def load(self, key: Any) -> Any:
        """The value at *key*, or ``MISSING``; raises a BadEntry where there is an entry that must not be decoded."""
        return self.load_at(self.keys.address(key), key)

    def load_at(self, address: bytes, key: Any = MISSING) -> Any:
        """Like :meth:`load` for a caller who knows the address; *key* only names the entry in errors."""
        blob = self.engine.get(address)
        if blob is None:
            self.counts.misses += 1
            return MISSING
        plain = unpack_plain(blob, address) if self._is_plain else None
        if plain is not None:
            label, document = plain
            try:
                value = self._loaders[label](document)
            except Exception:  # noqa: BLE001
                pass  # a document that the short way cannot read: the long way can, or says what is wrong
            else:
                counts = self.counts
                counts.hits += 1
                counts.bytes_read += len(document)
                return value
        return self.load_row(address, blob, key)

    def load_row(self, address: bytes, blob: bytes | None, key: Any = MISSING) -> Any:
        """The value in a row that was just read from *address*, or ``MISSING``."""
        entry = None if blob is None else self.open_row(address, blob, key)
        if entry is None:
            self.counts.misses += 1
            return MISSING
        try:
            value = self.value_of(entry, key)
        except BlobMissing:
            newer = self.engine.get(address)
            if newer == blob:
                raise
            return self.load_row(address, newer, key)  # deleted, and perhaps stored again, while we were reading it
        self.counts.hits += 1
        return value

    def find(self, key: Any) -> Entry | None:
        """The checked entry at *key*, its payload not decoded; ``None`` if there is none or it is over."""
        address = self.keys.address(key)
        blob = self.engine.get(address)
        return None if blob is None else self.open_row(address, blob, key)

    def open_row(self, address: bytes | None, blob: bytes, key: Any = MISSING) -> Entry | None:
        """The entry in *blob* after checksum, expiry, policies and trust; ``None`` if it is not to be seen."""
        try:
            entry = unpack(blob, address)
            if entry.is_expired():
                return None
            found: Entry | None = entry
            for policy in self.policies:
                found = policy.on_read(found) if found is not None else None
            if found is not None:
                trusting.check(found, self._namespace_of(found), self.trust)
            return found
        except BadEntry as error:
            raise self._explained(error, key, address) from error

    def value_of(self, entry: Entry, key: Any = MISSING) -> Any:
        """The decoded value of a checked entry."""
        try:
            encoded = self.encoded_of(entry)
            return decoder_of(entry.label).serializer.loads(encoded)
        except BadEntry as error:
            raise self._explained(error, key, entry.digest) from error

    def encoded_of(self, entry: Entry) -> Encoded:
        """The serialized value of a checked entry, decompressed; its large buffers are mapped from their file."""
        if self.is_foreign(entry):
            trusting.check(entry, self._namespace_of(entry), self.trust)
        stored: bytes | memoryview = entry.payload
        if entry.flags & Flag.BLOB:
            stored = self._mapped(entry)
        self.counts.bytes_read += len(stored)
        return unfilter(entry.label, stored, entry.raw_size, entry.flags, is_trusted=entry.is_trusted)

    def _mapped(self, entry: Entry) -> memoryview:
        if self.blobs is None:
            raise BlobMissing("the entry points at a blob file, but its engine has none")
        is_signed = bool(entry.flags & Flag.SIGNED)
        self._may_have_blobs = True
        try:
            return self.blobs.map(Reference.unpack(entry.payload), is_signed=is_signed)
        except BlobMissing:
            blob = self.engine.get(entry.digest)
            if blob is None:
                raise
            newer = unpack(blob, entry.digest)
            if newer.write_id == entry.write_id or newer.version > entry.version:
                raise
            # Replaced between our reading the row and its file: the row that is there now is the one to answer with.
            trusting.check(newer, self._namespace_of(newer), self.trust)
            for name in ("payload", "label", "raw_size", "flags", "write_id", "is_trusted"):
                setattr(entry, name, getattr(newer, name))
            return self._mapped(entry) if newer.flags & Flag.BLOB else memoryview(newer.payload)

    def _namespace_of(self, entry: Entry) -> str:
        return "" if entry.flags & Flag.LOOSE else self.namespace

    def _explained(self, error: BadEntry, key: Any, address: bytes | None) -> BadEntry:
        """*error* with the key and the place; the error's own text says why and what to do."""
        if address is not None and not isinstance(error, UntrustedEntry):
            self._seen_bad.add(address)
        what = "an entry" if key is MISSING else f"the entry of {_short(key)}"
        return type(error)(f"{what} in {self.engine.location()}: {error}")

    # ---- writing -------------------------------------------------------------------------------------------------

    def save(self, key: Any, value: Any) -> None:
        """Store *value* at *key*; on any error what was stored before is still there."""
        encoded_key, row = self._row(key, value)
        if row is None:
            return
        address = encoded_key.address
        if self._seen_bad:
            self._keep_bad_rows((address,))
        old = self.engine.get(address) if self._may_have_blobs else None
        self.engine.put(address, row)
        if old is not None and points_at_blob(old):
            self._remove_blob(old)
        self.counts.sets += 1
        self.counts.bytes_written += len(row)

    def save_many(self, items: Iterable[tuple[Any, Any]]) -> None:
        """Store all pairs, small values in batches; if one of them cannot be stored, those before it are."""
        rows: dict[bytes, bytes] = {}
        size = 0
        try:
            for key, value in items:
                encoded_key, row = self._row(key, value)
                if row is None:
                    rows.pop(encoded_key.address, None)
                    continue
                rows[encoded_key.address] = row
                size += len(row)
                if size > _BATCH_BYTES:
                    self._put_rows(rows)
                    rows, size = {}, 0
        finally:
            self._put_rows(rows)

    def _row(self, key: Any, value: Any) -> tuple[EncodedKey, bytes | None]:
        """The encoded *key*, and the row of a small data value; ``None`` for it once a value was written the long way."""
        document = self._dumps_plain(value)
        if document is not None and len(document) < self.codec.stored_below:
            encoded_key = self.keys.encode(key)
            if not encoded_key.is_code:
                label, size = self.codec.raw_label, len(document)
                return encoded_key, pack_plain(encoded_key.address, label, encoded_key.data, document, size)
        encoded = self.codec.serializer.dumps(value) if document is None else Encoded(document)
        encoded_key = self.keys.encode(key)
        row = self._plain_row(encoded_key, encoded)
        if row is None:
            self.write(encoded_key, self.payload_of(encoded))
        return encoded_key, row

    def _keep_bad_rows(self, addresses: Iterable[bytes]) -> None:
        """Copy aside what could not be read, before it is overwritten; only what this object has seen to be bad."""
        for address in self._seen_bad.intersection(addresses):
            self._seen_bad.discard(address)
            row = self.engine.get(address)
            if row is not None:
                self.engine.section(_BAD).put(address, row)

    def _put_rows(self, rows: dict[bytes, bytes]) -> None:
        self._keep_bad_rows(rows)
        replaced = self.engine.get_many(rows) if self._may_have_blobs else ()
        old = [row for row in replaced if row is not None and points_at_blob(row)]
        if rows:
            self.engine.put_many(rows.items())
        for row in old:
            self._remove_blob(row)
        self.counts.sets += len(rows)
        self.counts.bytes_written += sum(map(len, rows.values()))

    def _plain_row(self, key: EncodedKey, encoded: Encoded) -> bytes | None:
        """The row of a small data value in a stash without rules for it; ``None`` if it takes the long way."""
        document = encoded.document
        size = len(document)
        if not self._is_plain or encoded.buffers or encoded.is_code or key.is_code or size >= SMALLEST_BLOB:
            return None
        if size < self.codec.stored_below:
            return pack_plain(key.address, self.codec.raw_label, key.data, document, size)
        payload = self.codec.payload(encoded)
        return None if payload.flags else pack_plain(key.address, payload.label, key.data, payload.join(), size)

    def payload_of(self, encoded: Encoded) -> Payload:
        """The payload of a serialized value, compressed as suits this stash's engine."""
        return self.codec.payload(encoded, mapped=self.blobs is not None)

    def save_encoded(self, key: Any, encoded: Encoded, options: WriteOptions = _PLAIN_WRITE) -> Entry:
        """Store a value that was serialized elsewhere, such as in a worker process; returns the entry as stored."""
        return self.write(self.keys.encode(key), self.payload_of(encoded), options)

    def write(self, key: EncodedKey, payload: Payload, options: WriteOptions = _PLAIN_WRITE) -> Entry:
        """Store *payload* at *key*, through blob files, policies and signature."""
        self.engine.ensure_writable()
        self._keep_bad_rows((key.address,))
        entry, blob_name = self._new_entry(key, payload, options)
        try:
            for _ in range(_MOST_RETRIES):
                if self._commit(key.address, entry):
                    break
            else:
                raise Conflict(f"{self.engine.location()}: other writers kept changing this key; try again")
        except Exception:  # an interrupt may come when the row is there already: then the daily sweep removes the blob
            if blob_name and self.blobs is not None and not self._is_stored(entry):
                self.blobs.remove(blob_name)
            raise
        self.counts.sets += 1
        self.counts.bytes_written += payload.size
        for policy in self.policies:
            policy.after_write(self, key.address)
        return entry

    def _new_entry(self, key: EncodedKey, payload: Payload, options: WriteOptions) -> tuple[Entry, str]:
        flags = payload.flags | (Flag.CODE if key.is_code else Flag(0))
        signs = options.sign or bool(flags & Flag.CODE) or self.trust is Trust.STRICT or needs_signature(payload)
        blob_name = ""
        if self.blobs is not None and payload.size >= SMALLEST_BLOB:
            reference = self.blobs.write(payload.pieces, durable=self.durable, digest=signs)
            stored, blob_name, flags = reference.pack(), reference.name, flags | Flag.BLOB
            self._may_have_blobs = True
        else:
            stored = bytes(payload.join())
        entry = Entry(key.address, payload.label, key.data, stored, payload.raw_size, flags)
        entry.write_id, entry.created_at = new_write_id(), time.time_ns()
        entry.seconds, entry.metadata = options.seconds, options.metadata
        if options.ttl is not None:
            entry.expires_at = expiry(entry.created_at, options.ttl)
        entry.is_trusted = signs
        return entry, blob_name

    def _is_stored(self, entry: Entry) -> bool:
        row = self.engine.get(entry.digest)
        return row is not None and row[WRITE_ID] == entry.write_id

    def _commit(self, address: bytes, entry: Entry) -> bool:
        """Write the row; ``False`` if another writer came in between where that matters."""
        old = self.engine.get(address) if self._needs_head or self._may_have_blobs else None
        head = self._head(address, old) if old is not None and self._needs_head else None
        final = entry
        for policy in self.policies:
            final = policy.on_write(final, head)
        if final.expires_at:
            self._note_expiring()
        if final.is_trusted:
            trusting.keyring().sign(final, self.namespace)
        row = final.pack()
        if not self.append:
            self.engine.put(address, row)
            if final.expires_at:  # not with versions: the storage would drop the newest one and keep those before it
                self.engine.expire(address, final.expires_at, final.write_id)
            if old is not None and self._may_have_blobs:
                self._remove_blob(old)
            return True
        if old is not None and head is not None and head.label:
            versions.keep(self.engine, address, old, head.version)
        return self.engine.swap(address, None if old is None else old[WRITE_ID], row)

    def _head(self, address: bytes, blob: bytes) -> Entry:
        """The entry that is being replaced; one without a label, but with the right number, where it cannot be read."""
        try:
            return unpack(blob, address)
        except NewerFormat as error:
            raise NewerFormat(f"{self.engine.location()}: {error}; nothing was overwritten") from error
        except CorruptEntry as error:
            logger.warning("%s: a bad entry is overwritten and kept aside: %s", self.engine.location(), error)
            self.engine.section(_BAD).put(address, blob)
            return Entry(address, b"", b"", b"", 0, version=versions.newest_kept(self.engine, address) + 1)

    def _remove_blob(self, row: bytes) -> None:
        with contextlib.suppress(BadEntry):  # a row that cannot be read points at nothing that could be removed
            entry = unpack(row)
            if entry.flags & Flag.BLOB and self.blobs is not None:
                self.blobs.remove(Reference.unpack(entry.payload).name)

    def delete(self, key: Any) -> bool:
        """Remove the entry at *key* with its versions; return whether there was one to be seen."""
        address = self.keys.address(key)
        blob = self.engine.get(address)
        if blob is None:
            return False
        was_seen = not _is_over(blob)
        self.evict(address)
        self.counts.deletes += was_seen
        return was_seen

    def evict(self, address: bytes) -> None:
        """Remove whatever is stored at *address*, its history and its blob files."""
        old = self.engine.get(address) if self._may_have_blobs or self.append else None
        removed = [] if old is None else [old]
        self.engine.delete(address)
        if self.append and old is not None:
            with contextlib.suppress(BadEntry):
                removed += versions.forget(self.engine, address, unpack(old).version)
        for row in removed:
            self._remove_blob(row)

    # ---- all entries ---------------------------------------------------------------------------------------------

    def entries(self) -> Iterator[Entry]:
        """Every entry that can be read now; bad ones are counted and warned about once, foreign code is left undecoded."""
        return self.each(lambda entry: entry)

    def items(self) -> Iterator[tuple[Entry, Any, Any]]:
        """``(entry, key, value)`` of all entries; a placeholder stands for what only foreign code could bring back."""
        return self.each(lambda entry: (entry, self.key_of(entry), self.shown_value_of(entry)))

    def all_keys(self) -> Iterator[Any]:
        """The keys of all entries, as :meth:`items` gives them."""
        return self.each(self.key_of, lambda key, _, __: self.keys.decode(key))

    def pairs(self) -> Iterator[tuple[Any, Any]]:
        """:meth:`items` without the entries."""
        return self.each(lambda entry: (self.key_of(entry), self.shown_value_of(entry)), self._plain_pair)

    def _plain_pair(self, key: bytes, label: bytes, document: bytes) -> tuple[Any, Any]:
        return self.keys.decode(key), self._loaders[label](document)

    def each(
        self, view: Callable[[Entry], Result], plain_view: Callable[[bytes, bytes, bytes], Result] | None = None
    ) -> Iterator[Result]:
        """What *view* makes of each entry; those that turn out bad on the way are left out, with one warning at the end.

        *plain_view* makes the same of a plain row's encoded key, label and document, or raises where it cannot.
        """
        context = self.keys.context()
        if context or not self._is_plain:
            plain_view = None
        bad = 0
        for address, blob in self.engine.rows():
            if plain_view is not None and (plain := unpack_plain(blob, address)) is not None:
                key = plain_key(blob)
                if not key_is_code(key):
                    try:
                        result = plain_view(key, *plain)
                    except Exception:  # noqa: BLE001
                        pass  # the long way can, or says what is wrong
                    else:
                        yield result
                        continue
            try:
                entry = unpack(blob, address)
                if entry.is_expired() or entry.metadata[: len(context)] != context:
                    continue
                with contextlib.suppress(UntrustedEntry):
                    trusting.check(entry, self.namespace, self.trust)
                result = view(entry)
            except BadEntry as error:
                logger.debug("%s: %s", address.hex(), error)
                bad += self.engine.get(address) == blob  # else it was deleted while we were reading it
                continue
            yield result
        if bad:
            what = "1 entry that cannot be read was" if bad == 1 else f"{bad} entries that cannot be read were"
            text = f"{self.engine.location()}: {what} left out; reading the key says why"
            warnings.warn(text, RuntimeWarning, stacklevel=2)

    def key_of(self, entry: Entry) -> Any:
        """The key as it was given, or a placeholder where decoding it would run foreign code."""
        return Foreign(entry) if self.is_foreign_key(entry) else self.keys.decode(entry.key)

    def shown_value_of(self, entry: Entry) -> Any:
        """The value, or a placeholder where decoding it would run foreign code."""
        return Foreign(entry) if self.is_foreign(entry) else self.value_of(entry)

    def is_foreign(self, entry: Entry) -> bool:
        """Whether the entry must not be decoded here."""
        return not entry.is_trusted and (entry.is_code or self.trust is Trust.STRICT)

    def is_foreign_key(self, entry: Entry) -> bool:
        """Whether the entry's key must not be decoded here; the key itself says so even where the header does not."""
        return self.is_foreign(entry) or (not entry.is_trusted and key_is_code(entry.key))

    def count(self) -> int:
        """How many entries there are: the engine's count, unless some may be over or belong to another context."""
        hides = any(policy.may_hide for policy in self.policies) if self.policies else False
        if hides or self.keys.context() or self.engine.section("meta").has(_EXPIRING):
            return sum(1 for _ in self.entries())
        return self.engine.count()

    def _note_expiring(self) -> None:
        section = self.engine.section("meta")
        if not section.has(_EXPIRING):
            section.put(_EXPIRING, bytes(16))

    def versions_of(self, key: Any) -> Iterator[Entry]:
        """All versions at *key*, oldest first."""
        address = self.keys.address(key)
        head = self.engine.get(address)
        if head is None:
            return
        try:
            newest = unpack(head, address).version
        except BadEntry as error:
            raise self._explained(error, key, address) from error
        for row in (*versions.older_rows(self.engine, address, newest), head):
            entry = self.open_row(address, row, key)
            if entry is not None:
                yield entry


@dataclass(frozen=True)
class Foreign:
    """Stands in listings for what only foreign code could bring back."""

    entry: Entry

    def __repr__(self) -> str:
        signer = f"signed by {self.entry.signer.hex()}" if self.entry.signer else "not signed"
        return f"<foreign entry {self.entry.digest.hex()[:8]}, {signer}; stash.trust() decodes it>"


def _is_over(blob: bytes) -> bool:
    try:
        return unpack(blob).is_expired()
    except BadEntry:
        return False


def _short(key: Any) -> str:
    text = repr(key)
    return text if len(text) <= _SHOWN_KEY else text[: _SHOWN_KEY - 1] + "…"
