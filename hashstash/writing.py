"""The long way of a write: blob files, policies, signatures, versions; and removing what was written.

The short way of small data values, ``Store.save``, is beside this in ``store``.
"""

from __future__ import annotations

import contextlib
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hashstash import trust as trusting
from hashstash.blobs import SMALLEST_BLOB, Reference
from hashstash.decoding import needs_signature
from hashstash.engine import WRITE_ID, Capability
from hashstash.entry import Entry, Flag, new_write_id, pack_measured, points_at_blob, unpack
from hashstash.errors import BadEntry, Conflict, CorruptEntry, NewerFormat, StashError
from hashstash.policies import versions
from hashstash.policies.size_limit import entry_size
from hashstash.policies.time_to_live import expiry
from hashstash.quarantine import keep_bad_rows, keep_if_damaged
from hashstash.statistics import MERGE_MASK, merge_in_passing
from hashstash.trust import Trust

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager

    from hashstash.codec import Payload
    from hashstash.key_codec import EncodedKey
    from hashstash.store import Store

logger = logging.getLogger(__name__)

EXPIRING = b"expiring"
"""The row in the section ``meta`` that says that some entries have a time to live."""
CANNOT_STORE = (StashError, OSError)
"""What storing a value may raise. Whoever has computed it returns it all the same; of these, a MissingDependency is raised."""
_MOST_RETRIES = 50


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


PLAIN_WRITE = WriteOptions()


def write(store: Store, key: EncodedKey, payload: Payload, options: WriteOptions = PLAIN_WRITE) -> Entry:
    """Store *payload* at *key*; returns the entry as stored. On any error what was stored before is still there."""
    store.engine.ensure_writable()
    keep_bad_rows(store, (key.address,))
    entry, blob_name = new_entry(store, key, payload, options)
    try:
        with alone(store):
            for _ in range(_MOST_RETRIES):
                if _commit(store, key.address, entry):
                    break
            else:
                raise Conflict(f"{store.engine.location()}: other writers kept changing this key; try again")
            for policy in store.policies:
                policy.after_write(store, key.address)
    except Exception:  # an interrupt may come when the row is there already: then the daily sweep removes the blob
        _take_back(store, entry, blob_name)
        raise
    store.counts.sets += 1
    store.counts.bytes_written += payload.size
    if not store.counts.sets & MERGE_MASK:
        merge_in_passing(store)
    return entry


def write_many(store: Store, items: Iterable[tuple[EncodedKey, Payload, WriteOptions]]) -> None:
    """:func:`write` for each of *items*, in one batch where no policy and no signature has to see them."""
    rows: dict[bytes, bytes] = {}
    raw_label = store.codec.raw_label
    try:
        for key, payload, options in items:
            is_small = payload.label == raw_label and payload.size < store.codec.stored_below and not payload.flags
            if store.is_plain and is_small and not (key.is_code or options.sign) and options.ttl is None:
                parts = (key.address, raw_label, key.data, options.metadata, payload.join())
                rows[key.address] = pack_measured(*parts, options.seconds)
                continue
            rows.pop(key.address, None)  # the last one of a key wins
            write(store, key, payload, options)
    finally:
        if rows:
            store.engine.ensure_writable()
            put_rows(store, rows)


def write_together(store: Store, items: Iterable[tuple[EncodedKey, Payload, WriteOptions]]) -> None:
    """:func:`write` for a few *items* that belong together, large and signed ones too; in one batch, if no policy sees them."""
    if not store.is_plain:
        for key, payload, options in items:
            write(store, key, payload, options)
        return
    store.engine.ensure_writable()
    written: list[tuple[Entry, str]] = []
    try:
        for key, payload, options in items:
            entry, blob_name = new_entry(store, key, payload, options)
            written.append((entry, blob_name))
            if entry.is_trusted:
                trusting.keyring().sign(entry, store.namespace)
        put_rows(store, {entry.digest: entry.pack() for entry, _ in written})
    except Exception:
        for entry, blob_name in written:
            _take_back(store, entry, blob_name)
        raise


def put_rows(store: Store, rows: dict[bytes, bytes]) -> None:
    """Store rows that nobody else has to see, and remove the blob files of those that they replace."""
    keep_bad_rows(store, rows)
    replaced = list(store.engine.get_many(rows)) if store.looks_first or store.may_have_blobs else []
    for address, row in zip(rows, replaced, strict=False):
        keep_if_damaged(store, address, row)
    old = [row for row in replaced if row is not None and points_at_blob(row)]
    if rows:
        store.engine.put_many(rows.items())
    for row in old:
        remove_blob(store, row)
    store.counts.sets += len(rows)
    store.counts.bytes_written += sum(map(len, rows.values()))


def alone(store: Store) -> AbstractContextManager[object]:
    """Keep others out who would spoil a write or a removal: nobody, in a stash without limits."""
    return store.engine.lock("limits") if store.is_limited else contextlib.nullcontext()


def new_entry(store: Store, key: EncodedKey, payload: Payload, options: WriteOptions) -> tuple[Entry, str]:
    """The entry of a write, and the name of its blob file if it has one; ``is_trusted`` says that it is to be signed."""
    flags = payload.flags | (Flag.CODE if key.is_code else Flag(0))
    signs = options.sign or bool(flags & Flag.CODE) or store.trust is Trust.STRICT or needs_signature(payload)
    blob_name = ""
    if store.blobs is not None and payload.size >= SMALLEST_BLOB:
        if payload.flags & Flag.BLOB:  # a worker has written the file
            reference = store.blobs.with_digest(Reference.unpack(payload.join()), is_needed=signs)
        else:
            reference = store.blobs.write(payload.pieces, durable=store.durable, digest=signs)
        stored, blob_name, flags = reference.pack(), reference.name, flags | Flag.BLOB
        store.may_have_blobs = True
    else:
        stored = bytes(payload.join())
    entry = Entry(key.address, payload.label, key.data, stored, payload.raw_size, flags)
    entry.write_id, entry.created_at = new_write_id(), time.time_ns()
    entry.seconds, entry.metadata = options.seconds, options.metadata
    if options.ttl is not None:
        entry.expires_at = expiry(entry.created_at, options.ttl)
    entry.is_trusted = signs
    return entry, blob_name


def _take_back(store: Store, entry: Entry, blob_name: str) -> None:
    """Remove the blob file of an entry whose row was not written; where that fails, the daily sweep does it."""
    with contextlib.suppress(OSError, StashError):
        if blob_name and store.blobs is not None and not _is_stored(store, entry):
            store.blobs.remove(blob_name)


def _is_stored(store: Store, entry: Entry) -> bool:
    row = store.engine.get(entry.digest)
    return row is not None and row[WRITE_ID] == entry.write_id


def _commit(store: Store, address: bytes, entry: Entry) -> bool:
    """Write the row; ``False`` if another writer came in between where that matters."""
    is_near = Capability.REMOTE not in store.engine.capabilities
    old = store.engine.get(address) if is_near or store.needs_head or store.may_have_blobs else None
    if not store.append:
        keep_if_damaged(store, address, old)
    if old is not None and store.append and versions.is_end(old):
        finish_removal(store, address, old)
        return False
    head = _head(store, address, old) if old is not None and store.needs_head else None
    final = entry
    for policy in store.policies:
        final = policy.on_write(final, head)
    for policy in store.policies:
        policy.before_write(store, final, head)
    if final.expires_at:
        note_expiring(store)
    if final.is_trusted:
        trusting.keyring().sign(final, store.namespace)
    row = final.pack()
    if not store.append:
        store.engine.put(address, row)
        if final.expires_at:  # not with versions: the storage would drop the newest one and keep those before it
            store.engine.expire(address, final.expires_at, final.write_id)
        if old is not None and store.may_have_blobs:
            remove_blob(store, old)
        return True
    if old is None or head is None:
        return store.engine.swap(address, None, row)
    was_kept = not head.label or versions.keep(store.engine, address, old, head.version)
    return was_kept and store.engine.swap(address, old[WRITE_ID], row)


def _head(store: Store, address: bytes, blob: bytes) -> Entry:
    """The entry that is being replaced; one without a label, but with the right number, where it cannot be read."""
    try:
        return unpack(blob, address)
    except NewerFormat as error:
        raise NewerFormat(f"{store.engine.location()}: {error}; nothing was overwritten") from error
    except CorruptEntry as error:
        logger.warning("%s: a bad entry is overwritten and kept aside: %s", store.engine.location(), error)
        store.seen_bad.add(address)
        keep_bad_rows(store, [address])
        return Entry(address, b"", b"", b"", 0, version=versions.newest_kept(store.engine, address) + 1)


def note_expiring(store: Store) -> None:
    """Make known that entries of the stash may be over, so that they are looked at to be counted."""
    section = store.engine.section("meta")
    if not section.has(EXPIRING):
        section.put(EXPIRING, bytes(16))


# ---- removing --------------------------------------------------------------------------------------------------------


def delete(store: Store, address: bytes) -> bool:
    """Remove the entry at *address* with its versions; return whether there was one to be seen."""
    blob = store.engine.get(address)
    if blob is None:
        return False
    keep_if_damaged(store, address, blob)
    was_seen = not _is_over(blob)
    remove(store, address)
    store.counts.deletes += was_seen
    return was_seen


def remove(store: Store, address: bytes, *, only: bytes | None = None) -> bool:
    """Remove whatever is stored at *address*; with *only*, only the entry of that write id. Return whether it was there."""
    with alone(store):
        removed = _take_out(store, address, only)
        if removed is None:
            return False
        freed = sum(_gone(store, row) for row in removed)
        for policy in store.policies if freed else ():
            policy.after_delete(store, freed)
    return True


def evict(store: Store, address: bytes) -> int:
    """Remove whatever is stored at *address*, its history and its blob files; return how many bytes that was, if anybody asks.

    The caller has made sure that nobody writes there meanwhile, where that matters.
    """
    return sum(_gone(store, row) for row in _take_out(store, address) or ())


def _take_out(store: Store, address: bytes, only: bytes | None = None) -> list[bytes] | None:
    """Remove the rows at *address*, and return them as far as blob files or sizes ask for it.

    ``None``, and nothing is removed, if *only* the entry of that write id was to go, and it is not there any more.
    """
    if store.append:
        return _take_out_versions(store, address, only)
    needs_row = store.may_have_blobs or bool(store.policies)
    old = store.engine.get(address) if needs_row else None
    if only is None:
        store.engine.delete(address)
    elif (needs_row and (old is None or old[WRITE_ID] != only)) or not store.engine.delete_if(address, only):
        return None
    return [] if old is None else [old]


def _take_out_versions(store: Store, address: bytes, only: bytes | None) -> list[bytes] | None:
    with _removing(store, address):
        for _ in range(_MOST_RETRIES):
            old = store.engine.get(address)
            if only is not None and (old is None or old[WRITE_ID] != only):
                return None
            if old is None:
                return []
            # First of all, so that no append builds on what is going.
            end = old if versions.is_end(old) else versions.end_row(address)
            if end is old or store.engine.swap(address, old[WRITE_ID], end):
                break
        else:
            raise Conflict(f"{store.engine.location()}: other writers kept changing this key; try again")
        removed = [old, *versions.forget(store.engine, address)]
        store.engine.delete_if(address, end[WRITE_ID])
    return removed


def finish_removal(store: Store, address: bytes, end: bytes) -> None:
    """Wait until whoever removes the entry at *address* is done; if he is not there any more, do it."""
    with _removing(store, address):
        if store.engine.get(address) == end:
            for row in versions.forget(store.engine, address):
                _gone(store, row)
            store.engine.delete_if(address, end[WRITE_ID])


def _removing(store: Store, address: bytes) -> AbstractContextManager[object]:
    return store.engine.lock("versions:" + address.hex())


def _gone(store: Store, row: bytes) -> int:
    """Remove the blob file of a row that is gone; return how many bytes both took."""
    with contextlib.suppress(BadEntry):  # a row that cannot be read points at nothing that could be removed
        entry = unpack(row)
        _remove_blob_of(store, entry)
        return entry_size(entry)
    return 0


def remove_blob(store: Store, row: bytes) -> None:
    """Remove the blob file that *row* points at, if it does."""
    with contextlib.suppress(BadEntry):
        _remove_blob_of(store, unpack(row))


def _remove_blob_of(store: Store, entry: Entry) -> None:
    if entry.flags & Flag.BLOB and store.blobs is not None and entry.write_id not in store.kept_aside:
        try:
            store.blobs.remove(Reference.unpack(entry.payload).name)
        except OSError as error:  # its row is gone, which is what counts: the file is swept later
            logger.debug("a blob file stays: %s", error)


def _is_over(blob: bytes) -> bool:
    try:
        return unpack(blob).is_expired()
    except BadEntry:
        return False
