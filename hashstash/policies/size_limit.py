"""A stash that stays small: beyond its limits, the entries written longest ago are removed."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from hashstash.blobs import Reference
from hashstash.entry import HEADER_SIZE, Entry, Flag, unpack
from hashstash.errors import BadEntry, StashFull
from hashstash.policy import Policy, PolicyHost

if TYPE_CHECKING:
    from hashstash.engine import Engine

_LOW_WATER = 0.9
_CHECK_EVERY = 16
_SMALL = 64


class SizeLimit(Policy):
    """At most *max_entries* entries and *max_size* bytes. What goes first is what was written first.

    The number of entries is exact. The size is exact in a stash of up to 64 entries; in a larger one every entry must be
    looked at to add it up, so that it is checked at one write in sixteen. A large stash is shrunk to nine tenths at once.
    """

    def __init__(self, *, max_size: int | None = None, max_entries: int | None = None) -> None:
        self.max_size = max_size
        self.max_entries = max_entries

    def on_write(self, entry: Entry, head: Entry | None) -> Entry:
        size = entry_size(entry)
        if self.max_size is not None and size > self.max_size:
            raise StashFull(
                f"the entry has {size:,} bytes, but max_size={self.max_size:,}; store less, or raise max_size"
            )
        return entry

    def after_write(self, host: PolicyHost, address: bytes) -> None:
        count = host.engine.count()
        has_too_many = self.max_entries is not None and count > self.max_entries
        adds_up = self.max_size is not None and (count <= _SMALL or random.randrange(_CHECK_EVERY) == 0)
        if has_too_many or adds_up:
            self._shrink(host, address)

    def _shrink(self, host: PolicyHost, newest: bytes) -> None:
        rows = sorted(_ages(host.engine))
        total, count = sum(size for _, size, _ in rows), len(rows)
        if self._fits(total, count, 1.0):
            return
        share = 1.0 if count <= _SMALL else _LOW_WATER
        for _, size, address in rows:
            if self._fits(total, count, share):
                return
            if address != newest:
                host.evict(address)
                total, count = total - size, count - 1

    def _fits(self, total: int, count: int, share: float) -> bool:
        """Whether so much is at most *share* of the limits."""
        if self.max_entries is not None and count > share * self.max_entries:
            return False
        return self.max_size is None or total <= share * self.max_size


def _ages(engine: Engine) -> list[tuple[int, int, bytes]]:
    """``(created at, size, address)`` of every readable entry."""
    rows = []
    for address, blob in engine.rows():
        try:
            entry = unpack(blob)
            rows.append((entry.created_at, entry_size(entry), address))
        except BadEntry:
            continue  # repair's business; it must not stop eviction
    return rows


def entry_size(entry: Entry) -> int:
    """Bytes that the entry takes, its blob file included."""
    return (
        HEADER_SIZE
        + len(entry.label)
        + len(entry.key)
        + len(entry.metadata)
        + max(len(entry.payload), _blob_size(entry))
    )


def _blob_size(entry: Entry) -> int:
    return Reference.unpack(entry.payload).size if entry.flags & Flag.BLOB else 0
