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


class SizeLimit(Policy):
    """At most *max_entries* entries and *max_size* bytes, checked at one write in sixteen or when an entry is large.

    The limits may be exceeded by some sixteen entries in between. What goes first is what was written first.
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
        exact = self.max_entries is not None and self.max_entries < 4 * _CHECK_EVERY
        if exact or self.max_size is not None or random.randrange(_CHECK_EVERY) == 0:
            self._shrink(host, address)

    def _shrink(self, host: PolicyHost, newest: bytes) -> None:
        if not self._is_over(host.engine):
            return
        rows = sorted(_ages(host.engine))
        total, count = sum(size for _, size, _ in rows), len(rows)
        for _, size, address in rows:
            if self._fits(total, count):
                return
            if address != newest:
                host.evict(address)
                total, count = total - size, count - 1

    def _is_over(self, engine: Engine) -> bool:
        if self.max_entries is not None and engine.count() > self.max_entries:
            return True
        return self.max_size is not None and sum(size for _, size, _ in _ages(engine)) > self.max_size

    def _fits(self, total: int, count: int) -> bool:
        entries = (
            self.max_entries is None
            or count <= max(1, round(_LOW_WATER * self.max_entries))
            or (self.max_entries < 4 * _CHECK_EVERY and count <= self.max_entries)
        )
        return entries and (self.max_size is None or total <= self.max_size)


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
