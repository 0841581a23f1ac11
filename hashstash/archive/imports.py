"""Reading an archive into stashes, of which nothing is believed and nothing decoded: rows are stored as they are.

What this user has signed stays signed, anew where its row has to change: in another namespace, or where the content of a blob
file has to lie elsewhere. What others have signed keeps its signature where the row stays as it is, and loses it elsewhere; it
was foreign before, and is foreign afterwards. The whole archive is read and checked before the first row is stored.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, NamedTuple

from hashstash import trust as trusting
from hashstash.archive.layout import CONTEXTS, HISTORY, ROWS, record_hash
from hashstash.archive.reader import Archive, Record, entry_in
from hashstash.blobs import SMALLEST_BLOB, Reference
from hashstash.engine import WRITE_ID
from hashstash.entry import Entry, Flag, new_write_id, unpack
from hashstash.errors import BadEntry, Conflict, NewerFormat, TamperedEntry
from hashstash.open import FUNCTIONS, below, open_store
from hashstash.policies import versions
from hashstash.quarantine import BAD
from hashstash.trust import Keyring
from hashstash.writing import alone, finish_removal, note_expiring, remove_blob

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable

    from hashstash.archive.layout import PackedStash
    from hashstash.stash import HashStash
    from hashstash.store import Store

OVERWRITE = ("never", "newer", "always")
_BATCH = 1000
_BATCH_BYTES = 4 << 20
_MOST_RETRIES = 50
_BLOB_BIT = int(Flag.BLOB)


def import_stashes(
    file: str | os.PathLike[str],
    open_stash: Callable[[str], HashStash],
    *,
    names: Iterable[str] | None = None,
    overwrite: str = "never",
) -> dict[str, int]:
    """Store what the archive *file* holds in the stash that *open_stash* gives for each name; return how many entries went there.

    *names*: only these stashes of the archive; KeyError for one that it does not hold. A key that is there already keeps its
    entry (*overwrite* ``"never"``), gets that of the archive if it was written later (``"newer"``), or gets it in any case
    (``"always"``). In a stash with ``append_mode=True`` the key then gets one more version, and older versions come along for
    keys that are new. Limits and times to live of the stash hold; its ``value_type`` is not asked, as nothing is decoded.
    BadArchive, before anything is stored, for what is no sound archive.
    """
    _check(overwrite)
    with Archive(file) as archive:
        chosen = _chosen(archive, names)
        archive.verify()
        return {packed.name: _import(archive, number, open_stash(packed.name), overwrite) for number, packed in chosen}


def import_stash(
    file: str | os.PathLike[str], stash: HashStash, *, name: str | None = None, overwrite: str = "never"
) -> int:
    """Store in *stash* what the archive *file* holds under *name*, which may be left out if it holds one stash only."""
    _check(overwrite)
    with Archive(file) as archive:
        if name is None and len(archive.stashes) != 1:
            known = ", ".join(repr(packed.name) for packed in archive.stashes[:20]) or "none"
            raise ValueError(f"{archive.path} holds {len(archive.stashes)} stashes: {known}; say which with name=")
        ((number, _),) = _chosen(archive, None if name is None else [name])
        archive.verify()
        return _import(archive, number, stash, overwrite)


def _check(overwrite: str) -> None:
    if overwrite not in OVERWRITE:
        raise ValueError(f"overwrite={overwrite!r}; it is one of {', '.join(map(repr, OVERWRITE))}")


def _chosen(archive: Archive, names: Iterable[str] | None) -> list[tuple[int, PackedStash]]:
    wanted = None if names is None else list(names)
    known = {packed.name: number for number, packed in enumerate(archive.stashes)}
    for name in wanted or ():
        if name not in known:
            raise KeyError(f"{archive.path} holds no stash named {name!r}; it holds: {', '.join(map(repr, known))}")
    return [(number, archive.stashes[number]) for name, number in known.items() if wanted is None or name in wanted]


def _import(archive: Archive, number: int, stash: HashStash, overwrite: str) -> int:
    packed = archive.stashes[number]
    stash.store.engine.ensure_writable()
    count = 0
    for position, part in enumerate(packed.parts):
        store, namespace = stash.store, packed.namespace
        if part.below:
            is_of_function = part.below.startswith(FUNCTIONS + "/")
            store = open_store(below(stash.config, part.below, is_function_stash=is_of_function))
            namespace = f"{namespace}/{part.below}" if namespace else part.below
        try:
            count += _Import(store, namespace, overwrite).take(archive, number, position)
        finally:
            if part.below:
                store.settle()
                store.engine.close()
    return count


_Batch = dict[bytes, tuple[Entry, bytes]]
"""By address, entries with their rows."""


class _Prepared(NamedTuple):
    """An entry as it may be stored here."""

    entry: Entry
    is_mine: bool
    """Whether this user has signed it."""
    blob_name: str
    """The file that was written for it."""


class _Import:
    """Storing the rows of one part."""

    def __init__(self, store: Store, namespace: str, overwrite: str) -> None:
        self._store = store
        self._namespace = namespace
        self._overwrite = overwrite
        self._batch: _Batch = {}
        self._batch_bytes = 0

    def take(self, archive: Archive, stash: int, part: int) -> int:
        """Store everything that is wanted; return how many entries that were."""
        store = self._store
        buffer_hash = archive.stashes[stash].parts[part].buffer_hash
        if buffer_hash is not None:
            record_hash(store.engine, buffer_hash)
        for record in archive.records(stash, part, CONTEXTS):
            content = b"".join(record.pieces)
            if not store.engine.section("meta").has(record.row):
                store.engine.section("meta").put(record.row, content)
        # Before the heads: a crash between the two leaves extra old versions, and never loses one.
        for record in archive.records(stash, part, HISTORY) if store.append else ():
            self._store_version(record)
        count = sum(self._store_head(record) for record in archive.records(stash, part, ROWS))
        return count + self._flush()

    # ---- entries -------------------------------------------------------------------------------------------------

    def _store_head(self, record: Record) -> int:
        """Store an entry, or put it into the batch; how many entries have been stored by this."""
        entry, store = entry_in(record.row), self._store
        if store.is_plain and self._is_small(entry) and not entry.expires_at:
            flushed = self._flush() if entry.digest in self._batch or self._is_full() else 0
            is_changed = entry.flags and self._prepared(record, entry).entry.write_id != record.row[WRITE_ID]
            row = entry.pack() if is_changed else record.row
            self._batch[entry.digest] = entry, row
            self._batch_bytes += len(row)
            return flushed
        if entry.is_expired() or not self._is_wanted(store.engine.get(entry.digest), entry):
            return 0
        prepared = self._prepared(record, entry)
        is_stored = False
        try:
            is_stored = self._commit(prepared)
        finally:
            if not is_stored and prepared.blob_name and store.blobs is not None:
                store.blobs.remove(prepared.blob_name)
        return is_stored

    def _is_small(self, entry: Entry) -> bool:
        return not entry.flags.value & _BLOB_BIT and len(entry.payload) < SMALLEST_BLOB

    def _is_full(self) -> bool:
        return len(self._batch) >= _BATCH or self._batch_bytes >= _BATCH_BYTES

    def _flush(self) -> int:
        """Store those of the batch that are wanted, each in the place of the very row that it was held against."""
        batch, self._batch, self._batch_bytes = self._batch, {}, 0
        count = 0
        for _ in range(_MOST_RETRIES):
            if not batch:
                return count
            batch, stored = self._tried(batch)
            count += stored
        raise self._conflict()

    def _tried(self, batch: _Batch) -> tuple[_Batch, int]:
        """What of *batch* others have overtaken, and how many have been stored."""
        store, wanted = self._store, []
        for (address, (entry, row)), old in zip(batch.items(), store.engine.get_many(batch), strict=True):
            if self._is_wanted(old, entry):
                self._keep_aside(address, old)
                wanted.append((address, old, row))
        changes = [(address, None if old is None else old[WRITE_ID], row) for address, old, row in wanted]
        overtaken, size = {}, 0
        for (address, old, row), is_stored in zip(wanted, store.engine.swap_many(changes), strict=True):
            if not is_stored:
                overtaken[address] = batch[address]
                continue
            size += len(row)
            store.seen_bad.discard(address)
            if old is not None and store.may_have_blobs:
                remove_blob(store, old)
        count = len(wanted) - len(overtaken)
        store.counts.sets += count
        store.counts.bytes_written += size
        return overtaken, count

    def _conflict(self) -> Conflict:
        place = self._store.engine.location()
        return Conflict(f"{place}: other writers kept changing a key; import the rest once more")

    def _is_wanted(self, old: bytes | None, entry: Entry) -> bool:
        if old is None:
            return True
        try:
            present = unpack(old, entry.digest)
        except NewerFormat:
            return False
        except BadEntry:
            return self._overwrite != "never"
        if present.is_expired():
            return True
        if self._overwrite == "newer":
            return entry.created_at > present.created_at
        return self._overwrite == "always" and entry.write_id != present.write_id

    def _keep_aside(self, address: bytes, old: bytes | None) -> None:
        """What is about to be replaced and cannot be read is not lost."""
        if old is None:
            return
        try:
            unpack(old, address)
        except BadEntry:
            self._store.engine.section(BAD).put(address, old)

    def _commit(self, prepared: _Prepared) -> bool:
        store, entry = self._store, prepared.entry
        address, as_packed = entry.digest, (entry.version, entry.expires_at)
        with alone(store):
            for _ in range(_MOST_RETRIES):
                old = store.engine.get(address)
                if old is not None and store.append and versions.is_end(old):
                    finish_removal(store, address, old)
                    continue
                if not self._is_wanted(old, entry):
                    return False
                head = self._head(address, old)
                for policy in store.policies:
                    policy.on_write(entry, head)
                if head is None:
                    entry.version = as_packed[0]
                if entry.is_expired():
                    return False
                if (entry.version, entry.expires_at) != as_packed:
                    self._renew(prepared)
                for policy in store.policies:
                    policy.before_write(store, entry, head)
                if self._put(entry, old, head):
                    break
            else:
                raise self._conflict()
            for policy in store.policies:
                policy.after_write(store, address)
        store.counts.sets += 1
        store.counts.bytes_written += len(entry.payload)
        return True

    def _head(self, address: bytes, old: bytes | None) -> Entry | None:
        """The entry that is being replaced, as policies want to see it."""
        if old is None:
            return None
        try:
            return unpack(old, address)
        except BadEntry:
            self._keep_aside(address, old)
            return Entry(address, b"", b"", b"", 0, version=versions.newest_kept(self._store.engine, address) + 1)

    def _put(self, entry: Entry, old: bytes | None, head: Entry | None) -> bool:
        """Write the row; ``False`` if somebody else was faster."""
        store, address = self._store, entry.digest
        if entry.expires_at:
            note_expiring(store)
        if store.append and old is not None and not self._keep_version(address, old, head):
            return False
        if not store.engine.swap(address, None if old is None else old[WRITE_ID], entry.pack()):
            return False
        if not store.append:
            if entry.expires_at:
                store.engine.expire(address, entry.expires_at, entry.write_id)
            if old is not None and store.may_have_blobs:
                remove_blob(store, old)
        return True

    def _keep_version(self, address: bytes, old: bytes, head: Entry | None) -> bool:
        """Put what is replaced in append mode among the older versions, unless it cannot be read."""
        return head is None or not head.label or versions.keep(self._store.engine, address, old, head.version)

    def _store_version(self, record: Record) -> None:
        """Store an older version of a key that is new here."""
        entry, store = entry_in(record.row), self._store
        place = versions.history_address(entry.digest, entry.version)
        if entry.is_expired() or store.engine.has(entry.digest) or store.engine.section(versions.HISTORY).has(place):
            return
        prepared = self._prepared(record, entry)
        is_stored = False
        try:
            is_stored = store.engine.section(versions.HISTORY).swap(place, None, prepared.entry.pack())
        finally:
            if not is_stored and prepared.blob_name and store.blobs is not None:
                store.blobs.remove(prepared.blob_name)

    # ---- rows ----------------------------------------------------------------------------------------------------

    def _prepared(self, record: Record, entry: Entry) -> _Prepared:
        """*entry* with its content where this storage keeps content, signed only if it was by this user."""
        store = self._store
        is_mine = _is_mine(entry, self._namespace)
        name = ""
        payload, flags = entry.payload, entry.flags
        if flags & Flag.BLOB:
            reference = Reference.unpack(payload)
            if store.blobs is None:
                payload, flags = _joined(record.pieces), flags & ~Flag.BLOB
            else:
                received = store.blobs.receive(reference, record.pieces, durable=store.durable)
                name = received.name
                if received != reference:
                    payload = received.pack()
        elif store.blobs is not None and len(payload) >= SMALLEST_BLOB and (is_mine or not flags & Flag.SIGNED):
            written = store.blobs.write([payload], durable=store.durable, digest=is_mine)
            payload, flags, name = written.pack(), flags | Flag.BLOB, written.name
        if name:
            store.may_have_blobs = True
        is_changed = payload is not entry.payload
        if is_changed:
            entry.payload, entry.flags = payload, flags
        prepared = _Prepared(entry, is_mine, name)
        if is_changed or (flags & Flag.SIGNED and self._namespace != store.namespace):
            self._renew(prepared)
        return prepared

    def _renew(self, prepared: _Prepared) -> None:
        """Let a row that is not the one of the archive any more be a write of its own."""
        entry = prepared.entry
        entry.write_id = new_write_id()
        if prepared.is_mine:
            trusting.keyring().sign(entry, self._store.namespace)
        elif entry.flags & Flag.SIGNED:
            entry.flags &= ~Flag.SIGNED
            entry.signer = entry.tag = b""


def _joined(pieces: Iterable[bytes]) -> bytes:
    """All of them in one piece, without ever having them twice."""
    collected = io.BytesIO()
    collected.writelines(pieces)
    return collected.getvalue()


def _is_mine(entry: Entry, namespace: str) -> bool:
    """Whether the first key of this user has signed *entry*, as it is, for *namespace*."""
    if not entry.flags & Flag.SIGNED:
        return False
    try:
        own = Keyring(trusting.keyring().keys[:1])
    except OSError:  # a home that cannot be written has no key, and has signed nothing
        return False
    try:
        return own.verifies(entry, namespace)
    except TamperedEntry:
        return False
