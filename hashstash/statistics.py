"""What a stash has done: counted by each object in memory, and added to the stash's own sums now and then.

A hit costs no write. Counts are added to the sums when a stash is closed, at the end of the process, and with a write once in a
while; what a process that was killed had counted since then is lost. A stash that cannot be written to keeps none.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import operator
import os
import struct
import time
import warnings
import weakref
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from hashstash import forks
from hashstash.engine import WRITE_ID
from hashstash.entry import new_write_id
from hashstash.errors import StashError
from hashstash.wording import duration, size_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashstash.engine import Engine
    from hashstash.store import Store

logger = logging.getLogger(__name__)

_ADDRESS = b"stats"
_MAGIC = b"HSTstat\1"
_ROW = struct.Struct("<8s8sqqqqqqd")
_MOST_RETRIES = 20
_EVERY = 10.0
"""Seconds between two times that counts are added in passing, with a write."""
MERGE_MASK = 255
"""The clock is looked at with one write in 256."""
_MOST_SECONDS = 1e12
_MOST_REOPENED = 16
"""How many stashes whose objects are all gone are opened once more at the end of the process to add what those have counted."""
_MOST_LEFT = 256
"""Of how many it is kept in mind what they have counted; a process may go through any number of stashes."""


@dataclass(slots=True)
class Counts:
    """What was done, by one object or by all."""

    hits: int = 0
    misses: int = 0
    sets: int = 0
    deletes: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    seconds_saved: float = 0.0
    """How long computing the values of all hits had taken, where that was measured."""

    @property
    def hit_rate(self) -> float:
        """The share of reads that found a value; 0 if there was none."""
        reads = self.hits + self.misses
        return self.hits / reads if reads else 0.0

    def numbers(self) -> tuple[float, ...]:
        """All of them, in order."""
        counted = (self.hits, self.misses, self.sets, self.deletes, self.bytes_read, self.bytes_written)
        return (*counted, self.seconds_saved)

    def __add__(self, other: Counts) -> Counts:
        return Counts(*map(operator.add, self.numbers(), other.numbers()))

    def __sub__(self, other: Counts) -> Counts:
        return Counts(*map(operator.sub, self.numbers(), other.numbers()))

    def rows(self) -> list[tuple[str, str]]:
        """Names and numbers for people."""
        rate = f" ({self.hit_rate:.0%} of reads)" if self.hits else ""
        return [
            ("hits", f"{self.hits:,}{rate}"),
            ("misses", f"{self.misses:,}"),
            ("sets", f"{self.sets:,}"),
            ("deletes", f"{self.deletes:,}"),
            ("read", size_text(self.bytes_read)),
            ("written", size_text(self.bytes_written)),
            ("time saved", duration(self.seconds_saved)),
        ]

    def __repr__(self) -> str:
        return "Counts(" + ", ".join(f"{field.name}={getattr(self, field.name)!r}" for field in fields(self)) + ")"

    def _repr_html_(self) -> str:
        from hashstash.display.reports import html_of_counts

        return html_of_counts(self)


class Stats:
    """The counts of one stash object in this process, as they are now; ``total`` has those of everybody.

    ``hits``, ``misses``, ``sets``, ``deletes``, ``bytes_read``, ``bytes_written`` (bytes), ``seconds_saved`` (how long
    computing the values of the hits had taken, where it was measured), ``hit_rate``.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._store.counts, name)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(field.name for field in fields(Counts)), "hit_rate"]

    @property
    def mine(self) -> Counts:
        """What this object has done, as one piece."""
        return self._store.counts

    @property
    def total(self) -> Counts:
        """What all objects in all processes have done since the stash was made or cleared.

        Other processes' counts show when they have added them: see :mod:`hashstash.statistics`.
        """
        store = self._store
        return stored(store.engine) + pending(store) + _left_by(store)

    def __eq__(self, other: object) -> bool:
        mine = self._store.counts
        return mine == (other._store.counts if isinstance(other, Stats) else other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        both = list(zip(self._store.counts.rows(), self._shown_total().rows(), strict=True))
        width = max(len("this object"), *(len(mine) for (_, mine), _ in both))
        lines = [f"{'':<12}{'this object':<{width}}  in all"]
        return "\n".join([*lines, *(f"{name:<12}{mine:<{width}}  {total}" for (name, mine), (_, total) in both)])

    def _repr_html_(self) -> str:
        from hashstash.display.reports import html_of_stats

        return html_of_stats(self)

    def _shown_total(self) -> Counts:
        try:
            return self.total
        except (StashError, OSError):  # what is shown must be shown for a locked or broken storage too
            return pending(self._store)


# ---- the sums of the stash ---------------------------------------------------------------------------------------------


def stored(engine: Engine) -> Counts:
    """The sums in the stash, zero where there are none."""
    return _unpack(engine.section("meta").get(_ADDRESS))


def pending(store: Store) -> Counts:
    """What an object has counted and not yet added to the sums."""
    return store.counts - store.merged


def merge(store: Store) -> None:
    """Add what *store*, and objects on the same place that are gone, have counted. Never raises for the storage's sake."""
    try:
        token = store.merging.pop()
    except IndexError:
        return  # another thread is about it
    try:
        mine, left = pending(store), _left.get(store.place)
        counts = mine if left is None else mine + left[0]
        if _is_worth_it(counts) and _add(store.engine, counts):
            store.merged = store.merged + mine
            _left.pop(store.place, None)
    finally:
        store.merging.append(token)


def merge_in_passing(store: Store) -> None:
    """:func:`merge`, if that was not done just before."""
    now = time.monotonic()
    if now >= store.next_merge:
        store.next_merge = now + _EVERY
        merge(store)


def forget_before_clear(store: Store) -> None:
    """Begin again at zero: what was counted so far belongs to what is being removed."""
    store.merged = store.counts - Counts()
    _left.pop(store.place, None)


def _is_worth_it(counts: Counts) -> bool:
    """Whether anything was found or changed: looking into an empty stash writes nothing into it."""
    return bool(counts.hits or counts.sets or counts.deletes)


def _add(engine: Engine, counts: Counts) -> bool:
    """Add *counts* to the sums; ``False`` where they cannot be written."""
    if engine.keeps_files and not os.path.exists(engine.location()):
        return False  # somebody has removed the folder, and will not want it back for this
    try:
        section = engine.section("meta")
        engine.ensure_writable()
        for _ in range(_MOST_RETRIES):
            row = section.get(_ADDRESS)
            if section.swap(_ADDRESS, None if row is None else row[WRITE_ID], _pack(_unpack(row) + counts)):
                return True
    except Exception as error:  # noqa: BLE001  whatever an engine raises, statistics do not fail what they count
        logger.debug("%s: counts are not added: %s", engine.location(), error)
    return False


def _pack(counts: Counts) -> bytes:
    *numbers, seconds = counts.numbers()
    most = (1 << 63) - 1
    seconds = seconds if 0 <= seconds < _MOST_SECONDS else 0.0  # an entry of somebody else may claim anything
    return _ROW.pack(_MAGIC, new_write_id(), *(max(0, min(int(number), most)) for number in numbers), seconds)


def _unpack(row: bytes | None) -> Counts:
    if row is None or len(row) != _ROW.size or not row.startswith(_MAGIC):
        return Counts()
    return Counts(*_ROW.unpack(row)[2:])


# ---- objects that come and go --------------------------------------------------------------------------------------------

_stores: weakref.WeakSet[Store] = weakref.WeakSet()
_left: dict[str, tuple[Counts, Callable[[], Engine] | None]] = {}
"""By place, what objects had counted that were forgotten without being closed, and how the place is opened again."""
_engines: set[type] = set()


def follow(store: Store) -> None:
    """See to it that what *store* counts is added at the end, whether it is closed or not."""
    _stores.add(store)
    if type(store.engine) not in _engines:
        _engines.add(type(store.engine))
        # Last registered is first called: engines that were imported until now close themselves after this.
        atexit.unregister(settle_all)
        atexit.register(settle_all)


def leave(store: Store) -> None:
    """Keep in mind what an object that is going has counted. No storage is touched: a finalizer may run at any moment."""
    counts = pending(store)
    if _is_worth_it(counts):
        before, _ = _left.pop(store.place, (Counts(), None))
        _left[store.place] = (before + counts, store.reopen)
        with contextlib.suppress(RuntimeError, StopIteration):  # another thread is about it
            while len(_left) > _MOST_LEFT:
                _left.pop(next(iter(_left)), None)


def _left_by(store: Store) -> Counts:
    return _left.get(store.place, (Counts(), None))[0]


def settle_all() -> None:
    """At the end of the process: what was read lately, and what was counted, for all that is still there."""
    for store in list(_stores):
        with contextlib.suppress(Exception):  # whatever an engine does while everything is being taken down
            store.settle()
    for place in list(_left)[-_MOST_REOPENED:]:
        counts, reopen = _left.pop(place)
        if reopen is not None:
            with contextlib.suppress(Exception), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # whatever there is to say about the place was said when it was opened
                engine = reopen()
                _add(engine, counts)
                engine.close()


def _renew_in_child() -> None:
    """What the parent has counted is the parent's to add."""
    _left.clear()
    for store in list(_stores):
        store.merged, store.merging = store.counts - Counts(), [None]


forks.in_child(_renew_in_child)
