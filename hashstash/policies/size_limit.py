"""A stash that stays small: before a write would go beyond its limits, the entries used longest ago are removed.

Writes and removals of a limited stash come one after the other, over all processes, so that a row with the sums (how many
entries, how many bytes) can be exact; a write changes the sums and looks at nothing else. Entries are removed along a list of
those used longest ago, which is made by looking at all rows once, kept as a row as well, and serves all processes until it
is used up: a removal costs a few rows on average.
"""

from __future__ import annotations

import heapq
import struct
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hashstash.blobs import Reference
from hashstash.engine import WRITE_ID
from hashstash.entry import HEADER_SIZE, Entry, Flag, new_write_id, unpack
from hashstash.errors import BadEntry, StashFull
from hashstash.policies import uses
from hashstash.policies.uses import Uses
from hashstash.policies.versions import HISTORY
from hashstash.policy import Policy, PolicyHost

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashstash.engine import Engine, WriteId

_SUMS = b"sums"
_QUEUE = b"queue"
_SUMS_ROW = struct.Struct("<8s8sqqqq8s")
_MAGIC = b"HSTsums\1"
_SHORTEST_QUEUE = 64
_LONGEST_QUEUE = 16384
_QUEUED_SHARE = 4
_RECOUNT_AFTER = 256
_MOST_TRIES = 4
_BLOB_BIT = int(Flag.BLOB)


@dataclass(slots=True)
class Sums:
    """What a limited stash holds. Never too low where only limited stashes write, even if one of them was killed."""

    count: int = 0
    size: int = 0
    writes: int = 0
    """Writes since everything was counted; after as many as there are entries it is counted again."""
    position: int = 0
    """How far the list of the entries used longest ago has been used up."""
    queue: WriteId = bytes(8)
    """Which list that is."""

    def become(self, other: Sums) -> None:
        """Take over everything from *other*."""
        self.count, self.size, self.writes = other.count, other.size, other.writes
        self.position, self.queue = other.position, other.queue

    def pack(self) -> bytes:
        """The row."""
        return _SUMS_ROW.pack(_MAGIC, new_write_id(), self.count, self.size, self.writes, self.position, self.queue)


class SizeLimit(Policy):
    """At most *max_entries* entries and *max_size* bytes. What goes first is what was written or read longest ago.

    Both limits hold exactly at any time, over all processes that have opened the stash with them. What was written without
    limits counts as soon as an object with limits writes for the first time. Entries whose time is over go first of all.

    An entry is used by being written, read by its key, or touched; listings and iterations use nothing. Uses by this object
    count at once, those by others when they are published (:mod:`hashstash.policies.uses`).
    """

    needs_head = True
    is_exclusive = True

    def __init__(self, *, max_size: int | None = None, max_entries: int | None = None) -> None:
        self.max_size = max_size
        self.max_entries = max_entries
        self.uses = Uses()
        self._host: weakref.ref[PolicyHost] | None = None
        self._has_compared = False
        self._queue: list[tuple[bytes, int]] = []
        self._queue_id: WriteId = bytes(8)
        self._late: Sums | None = None

    def attach(self, host: PolicyHost) -> None:
        self._host = weakref.ref(host)

    def on_read(self, entry: Entry) -> Entry | None:
        if self.uses.note(entry.digest):
            host = None if self._host is None else self._host()
            if host is not None:
                self.uses.publish(host.engine)
        return entry

    def publish(self, host: PolicyHost) -> None:
        self.uses.publish(host.engine)

    def on_write(self, entry: Entry, head: Entry | None) -> Entry:
        size = entry_size(entry)
        if self.max_size is not None and size > self.max_size:
            raise StashFull(
                f"the entry has {size:,} bytes, but max_size={self.max_size:,}; store less, or raise max_size"
            )
        return entry

    # ---- around a write, under the lock of the stash -------------------------------------------------------------------

    def before_write(self, host: PolicyHost, entry: Entry, head: Entry | None) -> None:
        self._late = None  # of a write that failed: others have written since
        self.uses.publish(host.engine)
        if self.uses.is_full:
            self.uses.merge(host.engine)
        sums = self._sums(host)
        replaces = head is not None and bool(head.label)
        freed = entry_size(head) if head is not None and replaces and not host.append else 0
        more, larger = int(not replaces), entry_size(entry) - freed
        for _ in range(sums.count):
            if self._fits(sums.count + more, sums.size + larger) or not self._free_one(host, sums, entry.digest):
                break
        if host.append and replaces and not self._fits(sums.count, sums.size + larger):
            raise StashFull(
                f"the versions of this key would take more than max_size={self.max_size:,} bytes together; remove the key, or"
                " raise max_size"
            )
        sums.count, sums.size, sums.writes = sums.count + more, sums.size + larger, sums.writes + 1
        # Lower sums are written after the row: a process that is killed in between leaves them too high, never too low.
        if larger < 0:
            self._late = sums
        else:
            self._save(host, sums)

    def after_write(self, host: PolicyHost, address: bytes) -> None:
        if self._late is not None:
            self._save(host, self._late)
            self._late = None

    def after_delete(self, host: PolicyHost, freed: int) -> None:
        sums = self._stored_sums(host.engine)
        if sums is not None:
            sums.count, sums.size = max(0, sums.count - 1), max(0, sums.size - freed)
            self._save(host, sums)

    def _fits(self, count: int, size: int) -> bool:
        return (self.max_entries is None or count <= self.max_entries) and (
            self.max_size is None or size <= self.max_size
        )

    # ---- sums ----------------------------------------------------------------------------------------------------------

    def _sums(self, host: PolicyHost) -> Sums:
        """The sums as they are stored; everything is counted anew where they cannot be relied on."""
        sums = self._stored_sums(host.engine)
        is_new, self._has_compared = not self._has_compared, True
        if sums is None or sums.writes > max(_RECOUNT_AFTER, sums.count):
            return self._recount(host)
        if is_new and sums.count != host.engine.count():
            return self._recount(host)  # somebody has written without limits, or rows have expired in the storage
        return sums

    def _stored_sums(self, engine: Engine) -> Sums | None:
        row = engine.section(uses.SECTION).get(_SUMS)
        if row is None or len(row) != _SUMS_ROW.size or not row.startswith(_MAGIC):
            return None
        _, _, count, size, writes, position, queue = _SUMS_ROW.unpack(row)
        return Sums(count, size, writes, position, queue)

    def _save(self, host: PolicyHost, sums: Sums) -> None:
        host.engine.section(uses.SECTION).put(_SUMS, sums.pack())

    def _recount(self, host: PolicyHost) -> Sums:
        """Look at every entry: add them up, and list those used longest ago."""
        sums = Sums()
        section = host.engine.section(uses.SECTION)
        self.uses.refresh(host.engine)
        noted, present = self.uses.noted, set()
        older = history_sizes(host)

        def ages() -> Iterator[tuple[int, bytes]]:
            for address, entry in _entries(host.engine):
                sums.count += 1
                sums.size += entry_size(entry) + older.get(address, 0)
                if address in noted:
                    present.add(address)
                yield 0 if entry.is_expired() else self.uses.last(address, entry.created_at), address

        length = min(_LONGEST_QUEUE, max(_SHORTEST_QUEUE, host.engine.count() // _QUEUED_SHARE))
        oldest = heapq.nsmallest(length, ages())
        self.uses.merge(host.engine, present)
        row = uses.pack({address: moment for moment, address in oldest})
        section.put(_QUEUE, row)
        self._queue, self._queue_id = [(address, moment) for moment, address in oldest], row[WRITE_ID]
        sums.queue = self._queue_id
        self._save(host, sums)
        return sums

    # ---- making room -----------------------------------------------------------------------------------------------------

    def _free_one(self, host: PolicyHost, sums: Sums, keep: bytes) -> bool:
        """Remove the entry used longest ago, other than *keep*, or correct the sums; ``False`` if there is nothing to be done."""
        self.uses.refresh(host.engine)
        for attempt in range(_MOST_TRIES):
            self._open_queue(host.engine, sums)
            while sums.position < len(self._queue):
                address, moment = self._queue[sums.position]
                sums.position += 1
                if address == keep:
                    continue
                entry = _readable(host.engine, address)
                if entry is None:
                    if host.engine.count() < sums.count:  # removed by the storage, or by somebody without limits
                        sums.become(self._recount(host))
                        return True
                elif self._is_unused(entry, moment) or attempt == _MOST_TRIES - 1:
                    freed = host.evict(address)
                    sums.count, sums.size = sums.count - 1, sums.size - freed
                    return True
            before = sums.count, sums.size
            sums.become(self._recount(host))
            if sums.count < before[0] or sums.size < before[1]:
                return True  # which may be enough
        return False

    def _is_unused(self, entry: Entry, moment: int) -> bool:
        """Whether the entry, last used at *moment* when the list was made, was not used since, or is over."""
        return entry.is_expired() or self.uses.last(entry.digest, entry.created_at) <= moment

    def _open_queue(self, engine: Engine, sums: Sums) -> None:
        if self._queue_id == sums.queue:
            return
        row = engine.section(uses.SECTION).get(_QUEUE)
        is_ours = row is not None and row[WRITE_ID] == sums.queue
        self._queue = list(uses.unpack(row)) if row is not None and is_ours else []
        self._queue_id = sums.queue


def _readable(engine: Engine, address: bytes) -> Entry | None:
    """The entry at *address*; ``None`` if there is none, or one for ``repair``, which is not counted here."""
    row = engine.get(address)
    try:
        return None if row is None else unpack(row, address)
    except BadEntry:
        return None


def _entries(engine: Engine) -> Iterator[tuple[bytes, Entry]]:
    """Every entry that can be read, with its address."""
    for address, row in engine.rows():
        try:
            yield address, unpack(row, address)
        except BadEntry:
            continue  # repair's business; it must not stop eviction


def history_sizes(host: PolicyHost) -> dict[bytes, int]:
    """By address, the bytes of older versions."""
    sizes: dict[bytes, int] = {}
    if host.append:
        for _, row in host.engine.section(HISTORY).rows():
            try:
                entry = unpack(row)
            except BadEntry:
                continue
            sizes[entry.digest] = sizes.get(entry.digest, 0) + entry_size(entry)
    return sizes


def entry_size(entry: Entry) -> int:
    """Bytes that the entry takes, its blob file included."""
    return (
        HEADER_SIZE
        + len(entry.label)
        + len(entry.key)
        + len(entry.metadata)
        + max(len(entry.payload) + entry.unread, _blob_size(entry))
    )


def _blob_size(entry: Entry) -> int:
    return Reference.unpack(entry.payload).size if entry.flags.value & _BLOB_BIT else 0
