"""Connections to SQLite files: one for each thread, few at a time, and none that lives through a fork.

SQLite must neither use nor close in a child what its parent has opened, since both would believe to hold the locks of the one.
So all connections are closed before a fork, and opened again by whoever goes on using them.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import sqlite3
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, TypeVar

from hashstash import forks
from hashstash.engines._nested import holds
from hashstash.errors import CorruptEntry, StashLocked
from hashstash.leaving import always_left

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Result = TypeVar("Result")

NAP = 0.05
"""Seconds that the library waits for a lock by itself; no interrupt is heard meanwhile."""
LOOK = 0.1
"""Seconds after which a reader looks again whether its file is still in place."""
STUCK = 1.0
"""Seconds after which a lock may be one that this process has kept by mistake."""
PATIENCE = 30.0
"""Seconds to wait for another process's transaction."""
MOST_OPEN = 128
_FORK_PATIENCE = 5.0


class Handle(sqlite3.Connection):
    """Closes without a warning where the garbage collector comes to it before it comes to the one who would close it."""

    file: tuple[int, int] | None = None
    """Device and inode of what it has open."""
    path = ""
    """Where that was found."""

    def is_in_place(self) -> bool:
        """Whether what it has open is still what lies at its path: a folder may be removed, or its file replaced.

        What is in place after a write was so at its commit. What is not is nobody's any more, and so was what was written.
        """
        try:
            status = os.stat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return (status.st_dev, status.st_ino) == self.file

    def close(self) -> None:
        super().close()
        self.file = None

    def __del__(self) -> None:
        with contextlib.suppress(sqlite3.Error):  # it was never opened
            self.close()


class Connection:
    """A connection of one thread; the lock is for those who close it from outside.

    It is reentrant for signal handlers and finalizers, which come in the midst of an operation of that thread.
    """

    __slots__ = ("__weakref__", "execute", "is_closed", "keeps_log", "lock", "look_at", "raw", "read_only", "stamp")

    def __init__(self, raw: Handle, *, read_only: bool, stamp: tuple[int, ...] = (), keeps_log: bool = False) -> None:
        self.raw = raw
        self.execute = _refuse if stamp else raw.execute
        """The short way, which looks at no stamp."""
        self.read_only = read_only
        self.keeps_log = keeps_log
        """What others have left in the log stays there when it is closed."""
        self.stamp = stamp
        """How the file looked when it was opened for reading without locks; empty if it is read with them."""
        self.lock = threading.RLock()
        self.look_at = time.monotonic() + LOOK
        """When to look again whether its file is in place."""
        self.is_closed = False

    def look(self) -> None:
        """Close it, and what else is open on its file, if that is not in place any more."""
        if self.raw.is_in_place():
            self.look_at = time.monotonic() + LOOK
        else:
            self.close_replaced()

    def close_replaced(self) -> None:
        """Close it, and all that no thread is inside of on the same file, in whose place there is none or another one.

        SQLite neither touches nor removes then what lies beside it, which belongs to the other one.
        """
        file = self.raw.file
        self.close()
        for connection in _open_on(file):
            connection.close(0)

    def close(self, timeout: float = -1.0) -> bool:
        """Close it when its thread is not inside of it; whether that was so within *timeout* seconds.

        ``False`` at once where it is this thread, to whose operation one comes back.
        """
        if holds(self.lock):
            return False
        taken: list[bool] = []
        try:
            # The answer is kept in the same step: no interrupt comes between the two, after which the lock would stay held.
            taken += map(self.lock.acquire, (True,), (timeout,))
            if taken[0]:
                self._close()
            return taken[0]
        finally:
            if True in taken:
                self.lock.release()

    def _close(self) -> None:
        if not getattr(self, "is_closed", True):  # which is missing where an interrupt came while it was made
            self.is_closed = True
            if self.keeps_log:
                _close_beside_log(self.raw)
            self.raw.close()

    def __del__(self) -> None:
        self._close()  # the library's own object is part of a cycle, and would be left to the garbage collector


def _close_beside_log(raw: Handle) -> None:
    """Close *raw* while another connection has the file open, if there is anything in the log.

    The last one that is closed would bring that into the file, unless it must not write.
    """
    with contextlib.suppress(OSError, sqlite3.Error):
        if raw.file is not None and os.path.getsize(f"{raw.path}-wal"):
            last = connect(raw.path, "ro")
            try:
                last.execute("SELECT 1 FROM sqlite_schema").fetchone()
                raw.close()
            finally:
                last.close()


_open: weakref.WeakSet[Connection] = weakref.WeakSet()
_handles: weakref.WeakSet[Handle] = weakref.WeakSet()
opening = threading.RLock()
"""Held while a file is looked at, then opened by SQLite; and during a fork, of which both sides give it back."""
_abandoned: list[Connection] = []
locked_by_hand: set[tuple[int, int]] = set()
"""Files, by device and inode, that this process has locks on without a connection."""
_replaced: dict[str, int] = {}
"""The files in whose place others are being put, and the threads that do so."""


def is_open_here(path: str) -> bool:
    """Whether this process has a connection to the file at *path*.

    Then nobody else here may open and close it: closing any descriptor of a file takes all locks away that the process has on
    it, SQLite's too, and other processes would write where this one does.
    """
    file = file_at(path)
    return file is not None and (file in locked_by_hand or any(handle.file == file for handle in list(_handles)))


def file_at(path: str) -> tuple[int, int] | None:
    """Device and inode of the file at *path*; ``None`` if there is none."""
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev, status.st_ino


def is_in_the_midst(path: str, *, or_reads: bool) -> bool:
    """Whether this thread itself is in the middle of opening, or of changing, the file at *path*, which then stays locked.

    *or_reads*: also in the middle of anything else, of which SQLite may not be done with the last statement.
    """
    return holds(opening) or any(
        holds(connection.lock) and (or_reads or connection.raw.in_transaction) for connection in _open_on(file_at(path))
    )


def open_among(group: weakref.WeakSet[Connection], make: Callable[[], Connection]) -> Connection:
    """A new connection that *make* opens, one of *group*; others are closed where there are too many."""
    with opening:
        _close_idle()
        connection = make()
        group.add(connection)
        _open.add(connection)
    return connection


def close_group(group: weakref.WeakSet[Connection]) -> None:
    """Close all connections of *group*, each when its thread is not inside of it."""
    with opening:
        connections = list(group)
    for connection in connections:
        connection.close()


def close_idle_on(path: str) -> None:
    """Close all connections of this process to the file at *path* that no thread is inside of.

    Where the system fails to give a lock back, SQLite keeps it until the last connection of the process to that file is closed:
    nobody would ever get it.
    """
    for connection in _open_on(file_at(path)):
        connection.close(NAP)


def close_all_on(path: str) -> None:
    """Close all connections of this process to the file at *path*, each when its thread is not inside of it.

    They are opened again when they are used: where another file has taken its place, they would go on with the old one.
    """
    for connection in _open_on(file_at(path)):
        connection.close()


@always_left
def replacing(path: str) -> Iterator[None]:
    """Keep the file at *path*, in whose place another one is put meanwhile, from being opened by other threads of this process.

    What is stored in the old one would be lost. Whoever wants to open it waits as for a lock; what is open stays so.
    StashLocked if another thread is at the same.
    """
    place, thread = _place(path), threading.get_ident()
    try:
        with opening:
            if _replaced.setdefault(place, thread) != thread:
                raise StashLocked(f"another thread is writing the rows of {path} anew; try again when that is done")
        yield
    finally:
        if place in _replaced and _replaced[place] == thread:  # no call, which an interrupt would follow
            del _replaced[place]


def refuse_replaced(path: str) -> None:
    """Raise what SQLite says of a locked file if another thread is putting another one in place of that at *path*."""
    if _replaced and _replaced.get(_place(path), threading.get_ident()) != threading.get_ident():
        raise _busy()


def refuse_moved(raw: Handle) -> None:
    """Raise what SQLite says of a locked file if another one has taken the place of what *raw* has open."""
    if not raw.is_in_place():
        raise _busy()


def _busy() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("database is locked")
    error.sqlite_errorcode = sqlite3.SQLITE_BUSY
    return error


def _place(path: str) -> str:
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))


def _open_on(file: tuple[int, int] | None) -> list[Connection]:
    with opening:
        return [connection for connection in _open if file is not None and connection.raw.file == file]


def connect(path: str, mode: str = "") -> Handle:
    """A connection without transactions of its own making, that runs nothing which a stranger may have put into the file.

    *mode*: what SQLite calls so in a URI, and further options behind ``&``; empty to read and write. The file has to be there:
    what SQLite says of a locked one is raised where it is removed or replaced meanwhile.
    """
    file = file_at(path)
    if file is None:
        raise _busy()
    raw = sqlite3.connect(
        uri(path, f"mode={mode}") if mode else path,
        uri=bool(mode),
        timeout=NAP,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=32,
        factory=Handle,
    )
    try:
        raw.path, raw.file = path, file
        _handles.add(raw)
        refuse_moved(raw)
        raw.execute("PRAGMA trusted_schema = OFF")
        raw.execute("PRAGMA cell_size_check = ON")
        raw.execute("PRAGMA secure_delete = FAST")  # a system's build may write zeros over every page that is given up
    except BaseException:
        raw.close()
        raise
    return raw


def uri(path: str, query: str) -> str:
    """*path* as the URI that SQLite takes options in."""
    from urllib.parse import quote

    # Of a path that begins with two slashes, the first name would be taken for that of a host.
    return f"file:{'//' if path.startswith('/') else ''}{quote(os.fsencode(path))}?{query}"


def stamp_of(file: str) -> tuple[int, ...]:
    """What changes when somebody, who sees this folder in another way, writes to the database."""
    status = os.stat(file)
    try:
        log = os.stat(file + "-wal").st_size
    except FileNotFoundError:
        log = 0
    return status.st_ino, status.st_mtime_ns, status.st_size, log


def is_mine(file: str) -> bool:
    """Whether only this user can write *file*: what others may cut off must not be mapped into this process."""
    status = os.stat(file)
    if not hasattr(os, "getuid"):
        return True
    return status.st_uid == os.getuid() and not status.st_mode & 0o022


def transaction(
    raw: sqlite3.Connection, work: Callable[[sqlite3.Connection], Result], *, kind: str = "IMMEDIATE"
) -> Result:
    """What *work* gives in a transaction, of which nothing is left open, whatever interrupts it."""
    try:
        raw.execute(f"BEGIN {kind}")
        result = work(raw)
        raw.execute("COMMIT")
        return result
    finally:
        if raw.in_transaction:
            raw.rollback()


def _close_idle() -> None:
    """Each connection keeps files open; those that no thread is inside of may go, and are opened again when used."""
    if len(_open) >= MOST_OPEN:
        for connection in list(_open):
            if connection.close(0):
                _open.discard(connection)


def refuse_programs(connection: sqlite3.Connection, path: str, own: str = r"(?!)") -> None:
    """CorruptEntry if a stranger has put into a database what runs when its tables are read or written: views and triggers.

    One of them may run for ever, in C, where no interrupt is heard. *own*: what the SQL of a library's own triggers looks like.
    """
    query = "SELECT name, sql FROM sqlite_schema WHERE type IN ('trigger', 'view') OR sql LIKE 'CREATE VIRTUAL%'"
    for name, text in connection.execute(query):
        if re.fullmatch(own, " ".join(str(text).split())) is None:
            raise CorruptEntry(
                f"{path} holds {name!r}, a program that is none of a stash; remove it, or move the file aside"
            )


def _close_before_fork() -> None:
    deadline = time.monotonic() + _FORK_PATIENCE
    for connection in list(_open):
        if connection.close(max(0.0, deadline - time.monotonic())):
            _open.discard(connection)


def _forget_in_child() -> None:
    _replaced.clear()  # by threads that do not exist here
    locked_by_hand.clear()
    for connection in list(_open):  # another thread's, in the middle of something that takes very long
        _abandoned.append(connection)
        connection.is_closed = True
        connection.execute = _refuse


def _refuse(*_: Any) -> Any:
    raise sqlite3.ProgrammingError("not to be used")


def _close_all() -> None:
    for connection in list(_open):
        connection.close(0)


forks.before(_close_before_fork)
forks.in_child(_forget_in_child)
forks.hold(opening)
atexit.register(_close_all)
