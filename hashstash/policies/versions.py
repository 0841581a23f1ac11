"""Append mode: a write keeps what was there. The head row is the latest version; older ones lie in the history section.

A read is one get. An append writes one row of history and one head, whatever came before. Numbers count from 1 and are
assigned under ``swap``, so order is by number and never by clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashstash.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashstash.engine import Engine
    from hashstash.entry import Entry

HISTORY = "history"
_NUMBER_SIZE = 4


class Versions(Policy):
    """Numbers each entry one above the one that it replaces."""

    needs_head = True

    def on_write(self, entry: Entry, head: Entry | None) -> Entry:
        entry.version = 1 if head is None else head.version + 1
        return entry


def history_address(address: bytes, version: int) -> bytes:
    """Where version *version* of the entry at *address* lies in the history section."""
    return address + version.to_bytes(_NUMBER_SIZE, "big")


def keep(engine: Engine, address: bytes, blob: bytes, version: int) -> None:
    """Put the head row *blob* into the history; doing it twice changes nothing."""
    # History before head: a crash between the two leaves an extra old version, never a lost one.
    engine.section(HISTORY).put(history_address(address, version), blob)


def newest_kept(engine: Engine, address: bytes) -> int:
    """The highest number in the history of the entry at *address*; 0 if it has none."""
    kept = engine.section(HISTORY).scan(address)
    return max((int.from_bytes(row[len(address) :], "big") for row in kept), default=0)


def older_rows(engine: Engine, address: bytes, version: int) -> Iterator[bytes]:
    """The rows that came before *version* of the entry at *address*, oldest first."""
    for row in _kept_below(engine, address, version):
        blob = engine.section(HISTORY).get(row)
        if blob is not None:
            yield blob


def forget(engine: Engine, address: bytes, version: int) -> list[bytes]:
    """Remove the history below *version*; returns the rows that were removed."""
    history = engine.section(HISTORY)
    removed = []
    for row in _kept_below(engine, address, version):
        blob = history.get(row)
        if blob is not None and history.delete(row):
            removed.append(blob)
    return removed


def _kept_below(engine: Engine, address: bytes, version: int) -> list[bytes]:
    """The addresses of what there really is below *version*, in order: a head may claim any number."""
    limit = history_address(address, version)
    return sorted(row for row in engine.section(HISTORY).scan(address) if row < limit)
