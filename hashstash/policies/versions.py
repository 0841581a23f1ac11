"""Append mode: a write keeps what was there. The head row is the latest version; older ones lie in the history section.

A read is one get. An append writes one row of history and one head, whatever came before. Numbers count from 1 and are
assigned under ``swap``, so order is by number and never by clock.

A removal puts a row that marks the end in the place of the head, by ``swap``, removes the history, and then that row, under a
lock. An append that meets such a row waits for the lock: so it never begins a new history while the old one is being removed,
and appends need no lock otherwise. What a removal that was killed has left is removed by the next append.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashstash.engine import WRITE_ID
from hashstash.entry import Entry, new_write_id, unpack
from hashstash.errors import BadEntry
from hashstash.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashstash.engine import Engine

HISTORY = "history"
_NUMBER_SIZE = 4
_LABEL = b"hashstash"
_LONG_AGO = 1


class Versions(Policy):
    """Numbers each entry one above the one that it replaces."""

    needs_head = True

    def on_write(self, entry: Entry, head: Entry | None) -> Entry:
        entry.version = 1 if head is None else head.version + 1
        return entry


def history_address(address: bytes, version: int) -> bytes:
    """Where version *version* of the entry at *address* lies in the history section."""
    return address + version.to_bytes(_NUMBER_SIZE, "big")


def keep(engine: Engine, address: bytes, blob: bytes, version: int) -> bool:
    """Put the head row *blob* into the history; ``False`` if it is not the head any more. Doing it twice changes nothing."""
    # History before head: a crash between the two leaves an extra old version, never a lost one.
    history, place = engine.section(HISTORY), history_address(address, version)
    if history.swap(place, None, blob):
        return True
    kept = history.get(place)
    if kept is None:
        return False
    if kept[WRITE_ID] == blob[WRITE_ID]:
        return True
    # Somebody was overtaken by a removal between reading the head and this. Was it us, or whoever has left that row?
    head = engine.get(address)
    is_head = head is not None and head[WRITE_ID] == blob[WRITE_ID]
    return is_head and history.swap(place, kept[WRITE_ID], blob)


def newest_kept(engine: Engine, address: bytes) -> int:
    """The highest number in the history of the entry at *address*; 0 if it has none."""
    return max(map(number_in, engine.section(HISTORY).scan(address)), default=0)


def address_in(place: bytes) -> bytes:
    """The address of the entry of which a version lies at *place* in the history."""
    return place[:-_NUMBER_SIZE]


def number_in(place: bytes) -> int:
    """The version that lies at *place* in the history."""
    return int.from_bytes(place[-_NUMBER_SIZE:], "big")


def older_rows(engine: Engine, address: bytes, version: int) -> Iterator[bytes]:
    """The rows that came before *version* of the entry at *address*, oldest first."""
    for row in kept_below(engine, address, version):
        blob = engine.section(HISTORY).get(row)
        if blob is not None:
            yield blob


def end_row(address: bytes) -> bytes:
    """The row that stands in the head's place while an entry is being removed: for readers, one that is over."""
    entry = Entry(address, _LABEL, b"", b"", 0, write_id=new_write_id(), expires_at=_LONG_AGO)
    return entry.pack()


def is_end(blob: bytes) -> bool:
    """Whether a row is one of those, whoever has put it there."""
    try:
        entry = unpack(blob)
    except BadEntry:
        return False
    return entry.expires_at == _LONG_AGO and not entry.created_at


def forget(engine: Engine, address: bytes) -> list[bytes]:
    """Remove the history of the entry at *address*; returns the rows that were removed."""
    history = engine.section(HISTORY)
    removed = []
    for row in sorted(history.scan(address)):
        blob = history.get(row)
        if blob is not None and history.delete(row):
            removed.append(blob)
    return removed


def kept_below(engine: Engine, address: bytes, version: int) -> list[bytes]:
    """The addresses in the history of what there really is below *version*, in order: a head may claim any number."""
    limit = history_address(address, version)
    return sorted(row for row in engine.section(HISTORY).scan(address) if row < limit)
