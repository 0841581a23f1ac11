"""The path of a value: key -> address, value -> payload -> entry -> policies -> engine, and back.

``HashStash`` is the facade over this; everything that needs entries rather than values (functions, cells, listings) calls it
directly. A row that is data, never expires and lies in one piece takes the short way through ``load`` and ``save``.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from hashstash import listing, quarantine, reading, statistics, writing
from hashstash.blobs import SMALLEST_BLOB, BlobMissing, BlobStore
from hashstash.codec import Codec, Encoded, Payload, no_plain_form, plain_writer
from hashstash.decoding import PlainLoaders
from hashstash.engine import WRITE_ID, Capability, Engine
from hashstash.entry import Entry, is_whole, pack_plain, points_at_blob, unpack_plain
from hashstash.errors import BadEntry, Conflict, MissingDependency
from hashstash.foreign import Foreign
from hashstash.reading import MISSING, Unreadable
from hashstash.statistics import MERGE_MASK, Counts
from hashstash.trust import Trust
from hashstash.writing import PLAIN_WRITE, WriteOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hashstash.key_codec import EncodedKey, KeyCodec
    from hashstash.policy import Policy

__all__ = ["MISSING", "Counts", "Foreign", "Store", "WriteOptions"]

Result = TypeVar("Result")

_MOST_RETRIES = 50
_BATCH_BYTES = 8 << 20  # addresses are random, so that a small batch would rewrite half of a tree for each few rows


@dataclass(eq=False)
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
    reopen: Callable[[], Engine] | None = None
    """Opens the engine once more, for an object that is gone; ``None`` where nothing is to be kept of it."""

    def __post_init__(self) -> None:
        folder = self.engine.blob_folder() if Capability.LOCAL_FILES in self.engine.capabilities else None
        self.blobs = BlobStore(folder) if folder else None
        self.may_have_blobs = self.blobs is not None and self.blobs.exists()
        self.needs_head = self.append or any(policy.needs_head for policy in self.policies)
        self.is_limited = any(policy.is_exclusive for policy in self.policies)
        self.is_plain = not self.policies and not self.append and self.trust is not Trust.STRICT
        self._loaders = PlainLoaders()
        self._dumps_plain = plain_writer(self.codec.serializer) if self.is_plain else no_plain_form
        self.looks_first = self.engine.reads_for_free
        """Whether the short way of a write looks at what it replaces, too: that may be damaged, and is kept aside then."""
        self.has_told_of_loss = False
        self.seen_bad: set[bytes] = set()
        self.kept_aside: set[bytes] = set()
        """Write ids of rows that were copied aside, whose blob files stay."""
        self.place = self.engine.location()
        self.merged = self.counts - Counts()
        self.next_merge = 0.0
        self.merging: list[None] = [None]
        for policy in self.policies:
            policy.attach(self)
        statistics.follow(self)

    def __del__(self) -> None:
        if hasattr(self, "merging") and not sys.is_finalizing():
            statistics.leave(self)

    def settle(self) -> None:
        """Store what this object knows and others should: which entries were read lately, and what was counted."""
        for policy in self.policies:
            policy.publish(self)
        statistics.merge(self)

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
        plain = unpack_plain(blob, address) if self.is_plain else None
        if plain is not None:
            label, document, seconds = plain
            try:
                value = self._loaders[label](document)
            except Exception:  # noqa: BLE001
                pass  # a document that the short way cannot read: the long way can, or says what is wrong
            else:
                counts = self.counts
                counts.hits += 1
                counts.bytes_read += len(document)
                if seconds:
                    counts.seconds_saved += seconds
                return value
        return self.load_row(address, blob, key)

    def load_plain(self, address: bytes, blob: bytes) -> Any:
        """The value in a row that was just read, if the short way leads to it; else ``MISSING``: ask :meth:`load_row`."""
        plain = unpack_plain(blob, address) if self.is_plain else None
        if plain is None:
            return MISSING
        label, document, seconds = plain
        try:
            value = self._loaders[label](document)
        except Exception:  # noqa: BLE001 - the long way can read it, or says what is wrong
            return MISSING
        self.counts.hits += 1
        self.counts.bytes_read += len(document)
        self.counts.seconds_saved += seconds
        return value

    def load_row(self, address: bytes, blob: bytes | None, key: Any = MISSING) -> Any:
        """The value in a row that was just read from *address*, or ``MISSING``."""
        while blob is not None:
            entry = reading.open_row(self, address, blob, key)
            if entry is None:
                break
            try:
                value = reading.value_of(self, entry, key)
            except BlobMissing:
                newer = self.engine.get(address)
                if newer == blob:
                    raise
                self.seen_bad.discard(address)  # nothing is wrong with what is there now
                blob = newer  # deleted, and perhaps stored again, while we were reading it
                continue
            self.counts.hits += 1
            self.counts.seconds_saved += entry.seconds
            return value
        self.counts.misses += 1
        return MISSING

    def find(self, key: Any) -> Entry | None:
        """The checked entry at *key*, its payload not decoded; ``None`` if there is none or it is over."""
        address = self.keys.address(key)
        blob = self.engine.get(address)
        return None if blob is None else reading.open_row(self, address, blob, key)

    def find_encoded(self, key: Any) -> tuple[Entry, Encoded] | None:
        """The checked entry at *key* and its value, still serialized; ``None`` if there is none."""
        while (entry := self.find(key)) is not None:
            try:
                return entry, self.encoded_of(entry)
            except BlobMissing as error:
                if listing.is_there(self, entry):
                    raise self.explained(error, key, entry.digest) from error
            except (BadEntry, MissingDependency) as error:
                raise self.explained(error, key, entry.digest) from error
        return None

    def open_row(self, address: bytes | None, blob: bytes, key: Any = MISSING) -> Entry | None:
        """The entry in *blob* after checksum, expiry, policies and trust; ``None`` if it is not to be seen."""
        return reading.open_row(self, address, blob, key)

    def value_of(self, entry: Entry, key: Any = MISSING) -> Any:
        """The decoded value of a checked entry."""
        return reading.value_of(self, entry, key)

    def encoded_of(self, entry: Entry) -> Encoded:
        """The serialized value of a checked entry, decompressed; its large buffers are mapped from their file."""
        return reading.encoded_of(self, entry)

    def explained(self, error: Unreadable, key: Any, address: bytes | None) -> Unreadable:
        """*error* with the key, the place and the next step: :func:`hashstash.reading.explained`."""
        return reading.explained(self, error, key, address)

    # ---- writing -------------------------------------------------------------------------------------------------

    def save(self, key: Any, value: Any) -> None:
        """Store *value* at *key*; on any error what was stored before is still there."""
        encoded_key, row = self._row(key, value)
        if row is None:
            return
        address = encoded_key.address
        if self.seen_bad:
            quarantine.keep_bad_rows(self, (address,))
        old = self.engine.get(address) if self.looks_first or self.may_have_blobs else None
        if old is not None and not is_whole(old):
            quarantine.keep_if_damaged(self, address, old)
        self.engine.put(address, row)
        if old is not None and points_at_blob(old):
            writing.remove_blob(self, old)
        counts = self.counts
        counts.sets += 1
        counts.bytes_written += len(row)
        if not counts.sets & MERGE_MASK:
            statistics.merge_in_passing(self)

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
                    writing.put_rows(self, rows)
                    rows, size = {}, 0
        finally:
            writing.put_rows(self, rows)

    def _row(self, key: Any, value: Any) -> tuple[EncodedKey, bytes | None]:
        """The encoded *key*, and the row of a small data value; ``None`` for it once a value was written the long way."""
        context = self.keys.context()
        if context:  # the stash of a function: the entry says to which state of it the result belongs
            encoded_key = self.keys.encode(key)
            self.write(encoded_key, self.payload_of(self.codec.serializer.dumps(value)), WriteOptions(metadata=context))
            return encoded_key, None
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

    def _plain_row(self, key: EncodedKey, encoded: Encoded) -> bytes | None:
        """The row of a small data value in a stash without rules for it; ``None`` if it takes the long way."""
        document = encoded.document
        size = len(document)
        if not self.is_plain or encoded.buffers or encoded.is_code or key.is_code or size >= SMALLEST_BLOB:
            return None
        if size < self.codec.stored_below:
            return pack_plain(key.address, self.codec.raw_label, key.data, document, size)
        payload = self.codec.payload(encoded)
        return None if payload.flags else pack_plain(key.address, payload.label, key.data, payload.join(), size)

    def payload_of(self, encoded: Encoded) -> Payload:
        """The payload of a serialized value, compressed as suits this stash's engine."""
        return self.codec.payload(encoded, mapped=self.blobs is not None)

    def save_encoded(self, key: Any, encoded: Encoded, options: WriteOptions = PLAIN_WRITE) -> Entry:
        """Store a value that was serialized elsewhere, such as in a worker process; returns the entry as stored."""
        return writing.write(self, self.keys.encode(key), self.payload_of(encoded), options)

    def write(self, key: EncodedKey, payload: Payload, options: WriteOptions = PLAIN_WRITE) -> Entry:
        """Store *payload* at *key*, through blob files, policies and signature."""
        return writing.write(self, key, payload, options)

    def write_many(self, items: Iterable[tuple[EncodedKey, Payload, WriteOptions]]) -> None:
        """:meth:`write` for each of *items*, in one batch where no policy and no signature has to see them."""
        writing.write_many(self, items)

    # ---- removing ------------------------------------------------------------------------------------------------

    def delete(self, key: Any) -> bool:
        """Remove the entry at *key* with its versions; return whether there was one to be seen."""
        return writing.delete(self, self.keys.address(key))

    def take(self, key: Any) -> Any:
        """Remove the entry at *key* and return its value, which nobody else gets, or ``MISSING``."""
        address = self.keys.address(key)
        for _ in range(_MOST_RETRIES):
            row = self.engine.get(address)
            value = self.load_row(address, row, key)
            if row is None or value is MISSING:
                return MISSING
            if self.remove(address, only=row[WRITE_ID]):
                self.counts.deletes += 1
                return value
        raise Conflict(f"{self.place}: other writers kept changing this key; try again")

    def remove(self, address: bytes, *, only: bytes | None = None) -> bool:
        """Remove whatever is stored at *address*; with *only*, only the entry of that write id. Return whether it was there."""
        return writing.remove(self, address, only=only)

    def evict(self, address: bytes) -> int:
        """Like :meth:`remove`, for a caller who keeps others out where that matters; return the bytes that went, where known."""
        return writing.evict(self, address)

    # ---- all entries ---------------------------------------------------------------------------------------------

    def entries(self) -> Iterator[Entry]:
        """Every entry that can be read now; bad ones are counted and warned about once, foreign code is left undecoded."""
        return listing.each(self, lambda entry: entry)

    def items(self) -> Iterator[tuple[Entry, Any, Any]]:
        """``(entry, key, value)`` of all entries; a placeholder stands for what only foreign code could bring back."""
        return listing.each(self, lambda entry: (entry, self.key_of(entry), self.shown_value_of(entry)))

    def all_keys(self) -> Iterator[Any]:
        """The keys of all entries, as :meth:`items` gives them."""
        return listing.each(self, self.key_of, lambda key, _, __: self.keys.decode(key))

    def pairs(self) -> Iterator[tuple[Any, Any]]:
        """:meth:`items` without the entries."""
        return listing.each(self, lambda entry: (self.key_of(entry), self.shown_value_of(entry)), self._plain_pair)

    def _plain_pair(self, key: bytes, label: bytes, document: bytes) -> tuple[Any, Any]:
        return self.keys.decode(key), self._loaders[label](document)

    def each(
        self, view: Callable[[Entry], Result], plain_view: Callable[[bytes, bytes, bytes], Result] | None = None
    ) -> Iterator[Result]:
        """What *view* makes of each entry: :func:`hashstash.listing.each`."""
        return listing.each(self, view, plain_view)

    def key_of(self, entry: Entry) -> Any:
        """The key as it was given, or a placeholder where decoding it would run foreign code."""
        return listing.key_of(self, entry)

    def shown_value_of(self, entry: Entry) -> Any:
        """The value, or a placeholder where decoding it would run foreign code."""
        return listing.shown_value_of(self, entry)

    def is_foreign(self, entry: Entry) -> bool:
        """Whether the entry's value must not be decoded here."""
        return listing.is_foreign(self, entry)

    def is_foreign_key(self, entry: Entry) -> bool:
        """Whether the entry's key must not be decoded here; the key itself says so even where the header does not."""
        return listing.is_foreign_key(self, entry)

    def count(self) -> int:
        """How many entries there are."""
        return listing.count(self)
