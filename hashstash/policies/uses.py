"""When entries were read last, which their rows do not say: noted in memory, published in batches, one row for each object.

A read costs a note in a dict. An object publishes its notes with its own next write, when it is closed, at the end of the
process, and otherwise at a read that comes a quarter of a second or more after the last time (longer where storing a row takes
long, so that reads do not pay more than a hundredth for it). Notes are advice: what is lost makes an entry look less used.
"""

from __future__ import annotations

import logging
import os
import struct
import time
import weakref
from typing import TYPE_CHECKING

from hashstash import forks
from hashstash.engine import WRITE_ID
from hashstash.entry import new_write_id

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from hashstash.engine import Engine, WriteId

logger = logging.getLogger(__name__)

SECTION = "uses"
_MAGIC = b"HSTuses\1"
_HEAD = 16
_NOTE = struct.Struct("<16sq")
_MERGED = b"merged"
_BY = b"by:"
_CHANGED = b"changed"
_INTERVAL = 0.25
_SHARE = 100
_SKEW = 300 * 10**9
"""ns by which the clocks of two machines may differ."""
_MOST_OWN = 512
"""Notes that an object keeps in its own row before it hands them on to the row of all, so that publishing stays cheap."""
_MOST_ROWS = 64
"""Rows of objects, most of which may be gone, before one that comes new merges them: a stash that is only read has no other."""
_MOST_MERGES = 5


class Uses:
    """What is known of the reads of one stash: this object's at once, those of others when they publish them."""

    def __init__(self) -> None:
        self._new: dict[bytes, int] = {}
        self._own: dict[bytes, int] = {}
        self._others: dict[bytes, int] = {}
        self._seen: WriteId | None = None
        self._row = _BY + os.urandom(8)
        self._has_row = False
        self._next = 0.0
        _all.add(self)

    def note(self, address: bytes) -> bool:
        """Note that the entry at *address* is being read; return whether it is time to publish."""
        self._new[address] = time.time_ns()
        return time.monotonic() >= self._next

    def last(self, address: bytes, created_at: int) -> int:
        """When the entry was last written or read, in ns since the epoch; 0 if that is said to be in the future.

        Else what was written while the clock was wrong would stay until that time has come, and everything else would go.
        """
        moment = max(created_at, *(known.get(address, 0) for known in (self._new, self._own, self._others)))
        return moment if moment <= time.time_ns() + _SKEW else 0

    def publish(self, engine: Engine) -> None:
        """Let others know what was read here; a storage that cannot be written to is left alone."""
        if not self._new:
            return
        began = time.monotonic()
        new, self._new = self._new, {}
        self._own = {**self._own, **new}
        try:
            section = engine.section(SECTION)
            section.put(self._row, pack(self._own))
            section.put(_CHANGED, pack({}))
            if not self._has_row:
                self._has_row = True
                if sum(1 for _ in section.scan(_BY)) > _MOST_ROWS:
                    self.merge(engine)
        except Exception as error:  # noqa: BLE001  whatever an engine raises, a read does not fail for this
            logger.debug("%s: uses are not published: %s", engine.location(), error)
        now = time.monotonic()
        self._next = now + max(_INTERVAL, _SHARE * (now - began))

    def refresh(self, engine: Engine) -> None:
        """Read what others have published since the last time."""
        mark = engine.section(SECTION).get(_CHANGED)
        changed = None if mark is None else mark[WRITE_ID]
        if changed != self._seen:
            self._others, _ = self._published(engine)
            self._seen = changed

    def _published(self, engine: Engine) -> tuple[dict[bytes, int], list[tuple[bytes, bytes]]]:
        known: dict[bytes, int] = {}
        rows = [(name, row) for name, row in engine.section(SECTION).rows() if name == _MERGED or name.startswith(_BY)]
        latest = time.time_ns()
        for _, row in rows:
            for address, moment in unpack(row):
                known[address] = max(known.get(address, 0), min(moment, latest))
        return known, rows

    @property
    def noted(self) -> Mapping[bytes, int]:
        """The notes of all, as they were read last."""
        return self._others

    def merge(self, engine: Engine, present: Collection[bytes] | None = None) -> None:
        """Bring the notes of all into one row; only those of entries in *present*, if it is given.

        Nothing is changed where others are at the same all the time.
        """
        section = engine.section(SECTION)
        for _ in range(_MOST_MERGES):
            known, rows = self._published(engine)
            if present is not None:
                known = {address: moment for address, moment in known.items() if address in present}
            merged = dict(rows).get(_MERGED)
            if section.swap(_MERGED, None if merged is None else merged[WRITE_ID], pack(known)):
                break  # else the row has notes by now whose own rows may be gone
        else:
            return
        for name, row in rows:
            if name != _MERGED:
                section.delete_if(name, row[WRITE_ID])
        self._own = {}
        self._others = known
        section.put(_CHANGED, pack({}))

    @property
    def is_full(self) -> bool:
        """Whether it is time to merge."""
        return len(self._own) > _MOST_OWN

    def renew(self) -> None:
        """In a forked child: what the parent has not published is the parent's to publish."""
        self._new, self._own, self._row, self._has_row = {}, {}, _BY + os.urandom(8), False


def pack(notes: Mapping[bytes, int]) -> bytes:
    """A row of notes."""
    return b"".join((_MAGIC, new_write_id(), *(_NOTE.pack(*note) for note in notes.items())))


def unpack(row: bytes) -> Iterable[tuple[bytes, int]]:
    """The notes in a row, in their order; none if it is not one of ours."""
    if not row.startswith(_MAGIC) or (len(row) - _HEAD) % _NOTE.size:
        return ()
    return _NOTE.iter_unpack(row[_HEAD:])


_all: weakref.WeakSet[Uses] = weakref.WeakSet()


def _renew_in_child() -> None:
    for uses in list(_all):
        uses.renew()


forks.in_child(_renew_in_child)
