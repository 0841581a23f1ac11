"""Locks among machines, for engines without a folder that all of their users share: rows that say who holds a name.

A holder writes its row anew every third of a lease. Whoever waits takes over when the row has not changed for a whole lease by
the clock of the one who waits, so that no two clocks are compared; at once if the row names a process of this machine that is
gone. A holder that was paused for that long finds out when it writes again; until then two may be inside, which costs a second
computation and never a wrong value: what is stored is stored whole. Rows for which nobody comes are removed by the server. Within
a process a :class:`~hashstash.locks.KeyLock` comes first, so that only one thread of each process asks the server.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING, Protocol

from hashstash import forks
from hashstash.engine import WRITE_ID
from hashstash.errors import StashError
from hashstash.locks import LONG_WAIT, KeyLock, Lock
from hashstash.processes import named, started, system
from hashstash.wording import printable

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

LEASE = 10.0
"""Seconds without a sign of life after which a holder is taken for dead."""

_ROW = struct.Struct("<4sB3x8sd")
_MAGIC = b"HSL\x01"
_HELD, _FREE = 1, 0
_BEATS = 3
_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 0.25
_LONGEST_LEASE = 3600.0
_RELEASED_ROWS_STAY = 60.0
_ROWS_OF_THE_DEAD_STAY = 86_400.0
"""Seconds without a sign of life after which the server forgets a row; much longer than any lease."""
_SHORTEST_WAIT = 0.01
_LONGEST_HOLDER = 1000
_LONGEST_NUMBER = 20
_LONGEST_NAME = 64


class Rows(Protocol):
    """What a lease needs of an engine."""

    def get(self, address: bytes) -> bytes | None:
        """The row, or ``None``."""

    def swap_for(self, address: bytes, expected: bytes | None, blob: bytes, seconds: float) -> bool:
        """Store *blob* if the row carries the write id *expected*, and let it go after *seconds* unless it is written again."""

    def location(self) -> str:
        """Where the rows lie."""


class _Sight:
    """What one who waits has seen of a row, be it in one try or in many."""

    __slots__ = ("looked_at", "unchanged", "write_id")

    def __init__(self) -> None:
        self.write_id = b""
        self.unchanged = 0.0
        self.looked_at: float | None = None

    def look(self, row: bytes) -> float:
        """How long the row has been like this, as far as it was watched: while this process stood still, it saw nothing."""
        now = time.monotonic()
        if row[WRITE_ID] != self.write_id:
            self.write_id, self.unchanged = row[WRITE_ID], 0.0
        elif self.looked_at is not None:
            self.unchanged += min(now - self.looked_at, 2 * _LONGEST_PAUSE)
        self.looked_at = now
        return self.unchanged


class _Lease:
    """The row of a name, held or to be had."""

    def __init__(self, rows: Rows, name: str, seconds: float, sight: _Sight | None = None) -> None:
        self.rows = rows
        self.address = name.encode("utf-8", "surrogatepass")
        self.seconds = seconds
        self.sight = sight or _Sight()
        self.ours: list[bytes] = []
        """The write id that the row has while we hold it; two of them when it is not known whether the last one arrived."""
        self.guard = threading.Lock()
        self.due = 0.0
        """When the next sign of life is to be given, by the monotonic clock."""

    def acquire(self, deadline: float | None, tell: Callable[[str], None] | None = None) -> bool:
        """Wait until *deadline* for the row; return whether it is now ours. After an interrupt it may be, too: release it.

        *tell*: called once when a wait without a deadline takes long, with the name of who is waited for.
        """
        pause, began = _FIRST_PAUSE, time.monotonic()
        if self._take(None):
            return True
        while True:
            row = self.rows.get(self.address)
            if row is None or _is_free(row):
                if self._take(None if row is None else row[WRITE_ID]):
                    return True
                continue  # another one was faster
            if self.sight.look(row) >= _lease_of(row) or _is_gone(row):
                logger.debug("%s: %s did not renew its lease", self.rows.location(), _holder_of(row))
                if self._take(row[WRITE_ID]):
                    return True
                continue
            if deadline is not None and time.monotonic() >= deadline:
                return False
            if tell is not None and deadline is None and time.monotonic() - began >= LONG_WAIT:
                tell(_name_of(row))
                tell = None
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _take(self, expected: bytes | None) -> bool:
        row = _row(_HELD, self.seconds)
        self.ours.append(row[WRITE_ID])  # before asking: whatever happens then, it can be given back
        is_ours = self.rows.swap_for(self.address, expected, row, _ROWS_OF_THE_DEAD_STAY)
        self.ours = [row[WRITE_ID]] if is_ours else []
        self.due = time.monotonic() + self.seconds / _BEATS
        return is_ours

    def _current(self) -> bytes | None:
        """The write id of the row, if it is still ours."""
        if len(self.ours) > 1:
            row = self.rows.get(self.address)
            self.ours = [] if row is None or row[WRITE_ID] not in self.ours else [row[WRITE_ID]]
        return self.ours[0] if self.ours else None

    def renew(self) -> None:
        """Give a sign of life; a lease that somebody else has taken is given up."""
        with self.guard:
            if self.ours:
                current = self._current()
                if current is None or not self._take(current):
                    logger.warning("%s: the lease of %r was lost", self.rows.location(), self.address)

    def release(self) -> None:
        """Let the next one have it. Where the server cannot be told, the lease simply ends; after an interrupt, call it again."""
        with self.guard:
            row = _row(_FREE, self.seconds)
            try:
                current = self._current()
                if current is not None:
                    self.rows.swap_for(self.address, current, row, _RELEASED_ROWS_STAY)
            except (StashError, OSError) as error:
                logger.debug("%s: a lease was not given back: %s", self.rows.location(), error)
            self.ours = []


def _row(state: int, seconds: float) -> bytes:
    holder = f"{os.getpid()}@{socket.gethostname()} {started(os.getpid())} {system()}"
    return _ROW.pack(_MAGIC, state, os.urandom(8), seconds) + holder.encode("utf-8", "surrogateescape")


def _is_free(row: bytes) -> bool:
    return row[:4] == _MAGIC and row[4] == _FREE


def _lease_of(row: bytes) -> float:
    if len(row) < _ROW.size or row[:4] != _MAGIC:
        return LEASE
    seconds = float(_ROW.unpack_from(row)[3])
    return seconds if _SHORTEST_WAIT <= seconds <= _LONGEST_LEASE else LEASE


def _holder_of(row: bytes) -> str:
    return row[_ROW.size : _ROW.size + _LONGEST_HOLDER].decode("utf-8", "replace")


def _process_of(row: bytes) -> int | None:
    """The number of the process that is the holder; ``None`` where there is none that a system could have given."""
    number = _holder_of(row).partition("@")[0]
    return int(number) if number.isdecimal() and len(number) <= _LONGEST_NUMBER else None


def _name_of(row: bytes) -> str:
    """The holder, as people are told."""
    process, machine = _process_of(row), _holder_of(row).partition(" ")[0].partition("@")[2]
    if process is None:
        return "another process"
    return (
        named(process)
        if machine == socket.gethostname()
        else f"process {process} on {printable(machine)[:_LONGEST_NAME]}"
    )


def _is_gone(row: bytes) -> bool:
    """Whether the holder is a process of this very system that has ended; ``False`` where that cannot be told."""
    words = _holder_of(row).split()
    if len(words) != 3 or not system() or words[2] != system():
        return False
    process = _process_of(row)
    return process is not None and words[1] != started(process)


_Key = tuple[str, str]


class _Heart:
    """The thread that gives signs of life for every lease that this process holds."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # entered and left by C code: an interrupt finds it held or free
        self._changed = threading.Condition(self._lock)
        self._leases: dict[_Key, _Lease] = {}
        self._thread: threading.Thread | None = None

    def add(self, key: _Key, lease: _Lease) -> None:
        """Keep *lease* alive from now on."""
        with self._lock:
            self._leases[key] = lease
            if self._thread is None:
                thread = threading.Thread(target=self._beat, name="hashstash-leases", daemon=True)
                with contextlib.suppress(RuntimeError):  # no more threads: whoever computes long may be taken for dead
                    thread.start()
                    self._thread = thread
            self._changed.notify()

    def get(self, key: _Key) -> _Lease | None:
        """The lease that is kept alive under that key."""
        return self._leases.get(key)

    def remove(self, key: _Key) -> None:
        """Stop keeping it alive."""
        with self._lock:
            self._leases.pop(key, None)

    def _beat(self) -> None:
        while True:
            with self._lock:
                leases = [lease for lease in self._leases.values() if lease.ours]
                wait = min((lease.due for lease in leases), default=None)
                if wait is None or wait > time.monotonic():
                    self._changed.wait(None if wait is None else wait - time.monotonic())
                    continue
            for lease in leases:
                if lease.due <= time.monotonic():
                    self._renew(lease)

    @staticmethod
    def _renew(lease: _Lease) -> None:
        try:
            lease.renew()
        except Exception as error:  # noqa: BLE001 - whatever an engine raises, the other leases must live on
            logger.debug("%s: no sign of life: %s", lease.rows.location(), error)
            lease.due = time.monotonic() + lease.seconds / _BEATS


_heart = _Heart()


class LeaseLock(Lock):
    """Like :class:`~hashstash.locks.KeyLock`, over the rows of an engine that many machines share.

    *lease*: seconds without a sign of life after which a holder is taken for dead. Many short tries to acquire it through one
    object find out as well as a long one that the holder is dead.
    """

    __slots__ = ("_key", "_lease", "_local", "_rows", "_sight", "_taken", "name")

    def __init__(self, rows: Rows, name: str, lease: float = LEASE) -> None:
        super().__init__()
        self.name = name
        self._rows = rows
        self._lease = lease
        self._key = (rows.location(), name)
        self._local = KeyLock(None, "\0".join(self._key))
        self._sight = _Sight()
        self._taken: _Lease | None = None
        """The lease that this object has asked for last; that of whoever holds the lock is in the heart."""

    def holder(self) -> str:
        row = self._rows.get(self.name.encode("utf-8", "surrogatepass"))
        return super().holder() if row is None else _name_of(row)

    def take(self, hold: object, timeout: float | None) -> bool:
        deadline = None if timeout is None else time.monotonic() + timeout
        self._local.tell = self.tell
        if not self._local.take(hold, timeout):
            return False
        if not self._local.is_last(hold):
            return True  # this thread has entered before
        self._taken = _Lease(self._rows, self.name, self._lease, self._sight)
        if not self._taken.acquire(deadline, self.tell):
            return False
        _heart.add(self._key, self._taken)
        return True

    def let_go(self, hold: object) -> None:
        try:
            if self._local.is_last(hold):
                lease = _heart.get(self._key) or self._taken
                if lease is not None:
                    lease.release()
                    _heart.remove(self._key)
        except Exception:
            self._local.let_go(hold)
            raise
        self._local.let_go(hold)


def _forget_in_child() -> None:
    global _heart
    _heart = _Heart()


forks.in_child(_forget_in_child)
