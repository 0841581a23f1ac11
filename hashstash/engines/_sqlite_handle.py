"""One connection to the SQLite file of another library: opened when it is needed, used in turn, rolled back whatever happens.

The file is private under any umask. Others' locks are waited for in short naps, so that an interrupt is heard.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from hashstash.engines._embedded import EmbeddedEngine, let_go_in, others_of_this_thread
from hashstash.engines._nested import holds, in_the_midst
from hashstash.engines._reserve import shrink_reserve
from hashstash.engines._sqlite_answers import explained, is_locked, is_stuck, may_pass
from hashstash.engines._sqlite_connections import (
    LOOK,
    NAP,
    PATIENCE,
    STUCK,
    connect,
    opening,
    refuse_moved,
    refuse_programs,
    refuse_replaced,
    stamp_of,
)
from hashstash.engines._sqlite_opening import RESERVE_SIZE, empty_log, is_new, log_pages
from hashstash.engines._sqlite_pages import check_header
from hashstash.errors import StashFull
from hashstash.paths import create_file, is_shared_mount, make_folder
from hashstash.refusals import explain, locate

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")

LOG_PAGES = 1000  # what the library has by default
_ERRORS = (sqlite3.Error, OverflowError, UnicodeDecodeError)


class _Replaced(Exception):
    """The open file is not the one in its place any more, in which it has to be done instead."""


class _Wait:
    """What one operation has done so far about what was in its way."""

    until = 0.0
    """When it is long enough that others have locked the file; 0: they have not."""
    own_until = 0.0
    """When the lock may be one that this process has kept by mistake."""
    is_second_try = False

    def __init__(self, *, is_nested: bool) -> None:
        self.is_nested = is_nested
        """Whether the same thread is in the midst of another operation, as a signal handler or a finalizer is."""


class SqliteHandleEngine(EmbeddedEngine):
    """Whatever lies in the SQLite file *_file* of *folder*, which another library has the tables of."""

    _reserve_size = RESERVE_SIZE
    _file: ClassVar[str]
    _own_triggers: ClassVar[str] = r"(?!)"
    """What the SQL of the library's own triggers looks like."""
    _made_first: ClassVar[frozenset[str]] = frozenset()
    """What the library makes in a new file before the table of the rows."""

    def __init__(self, folder: str, *, durable: bool = False) -> None:
        super().__init__(folder, durable=durable)
        self._path = os.path.join(folder, self._file)
        self._connection: Any = None
        self._stamp: tuple[int, ...] | None = None
        self._is_ready = False
        self._looks_at = 0.0
        """When it is time to see whether the file is still in its place."""

    @abstractmethod
    def _wrap(self, connection: sqlite3.Connection) -> Any:
        """The library's object over an open connection, for reading."""

    @abstractmethod
    def _prepare(self, handle: Any) -> None:
        """Make the library's tables and settings where they are missing."""

    # ---- the handle ----------------------------------------------------------------------------------------------

    def _opened(self) -> Any:
        """The library's object, with no transaction open; ``None`` if nothing was ever written."""
        handle = self._handle
        if handle is not None:
            if self._stamp is not None and self._stamp != stamp_of(self._path):
                self._let_go()  # SQLite believes that a file on read-only media never changes
                return self._opened()
            if time.monotonic() > self._looks_at:
                self._used = time.monotonic()
                self._looks_at = self._used + LOOK
                if not self._connection.is_in_place():
                    self._let_go()
                    return self._opened()
            if self._connection.in_transaction:
                self._connection.rollback()  # an interrupt came in the instant before its owner could do so
            return handle
        refuse_replaced(self._path)  # which for a moment is not there at all
        if is_new(self._path):
            check_header(self._path, self._reserve)
            return None
        return self._connect(read_only=self.is_read_only())

    def _connect(self, *, read_only: bool) -> Any:
        with opening:
            refuse_replaced(self._path)
            while True:
                try:
                    return self._connect_alone(read_only=read_only)
                except sqlite3.Error as error:
                    # Even reading needs room, for the index of the log: what was put by for deleting is enough for that.
                    is_full = not read_only and isinstance(explained(error, self._path, 0), StashFull)
                    if not (is_full and self._shrink_reserve()):
                        raise

    def _shrink_reserve(self) -> bool:
        return shrink_reserve(self._folder, keep=RESERVE_SIZE // 4)

    def _connect_alone(self, *, read_only: bool) -> Any:
        check_header(self._path, self._reserve)
        stamp = stamp_of(self._path) if read_only else None
        # Without a log there is nothing to share with writers, and nothing may be made in this folder.
        mode = "rw" if stamp is None else "ro" if stamp[-1] else "ro&immutable=1"
        connection = connect(self._path, mode)
        try:
            connection.execute(f"PRAGMA wal_autocheckpoint = {log_pages(self._path, LOG_PAGES)}")
            connection.execute(f"PRAGMA synchronous = {'FULL' if self._durable else 'NORMAL'}")
            refuse_programs(connection, self._path, self._own_triggers)
            handle = self._wrap(connection)
            refuse_moved(connection)  # before anything was read, it might have opened the log of another file
        except BaseException:
            connection.close()
            raise
        self._connection, self._stamp, self._is_ready = connection, stamp, False
        self._handle = handle
        self._note_open()
        return handle

    def _release(self, handle: Any) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _ready(self) -> Any:
        """The library's object, ready for writing."""
        handle = self._opened() if self._handle is None or self._connection.in_transaction else self._handle
        if self._stamp is not None or (handle is None and self.is_read_only()):
            self._refuse()
        if handle is None:
            make_folder(self._folder)
            with contextlib.suppress(FileExistsError):
                os.close(create_file(self._path))
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._reserve)  # of a file that is gone
                self._has_reserve = False
            handle = self._connect(read_only=False)
        if not self._is_ready:
            self._make_tables(handle)
            self._is_ready = True
        return handle

    def _make_tables(self, handle: Any) -> None:
        self._connection.execute(f"PRAGMA journal_mode = {self._journal()}")
        self._prepare(handle)
        self._make_reserve()  # last: it says that there are tables

    def _journal(self) -> str:
        """The mode of the journal: what is shared by machines has no shared memory, which a write-ahead log would need."""
        return "delete" if is_shared_mount(self._folder) else "wal"

    # ---- reads and writes -----------------------------------------------------------------------------------------

    def _read(self, read: Callable[[Any], Result]) -> Result | None:
        """What *read* gives for the library's object; ``None`` if nothing was ever written."""
        is_nested = holds(self._turn)
        with self._turn:
            wait = self._begun(is_nested=is_nested)
            while True:
                try:
                    handle = self._opened()
                    return None if handle is None else read(handle)
                except _ERRORS as error:
                    if "no such table" in str(error) and self._is_without_tables():
                        return None  # whoever made the file was stopped before there was anything in it
                    try:
                        self._wait_or_raise(error, wait)
                    except StashFull:  # even reading needs room, for the index of the log
                        if not self._shrink_reserve():
                            raise
                except OSError as error:
                    locate(error, self._path)
                    raise

    def _is_in_transaction(self) -> bool:
        return self._connection is not None and bool(self._connection.in_transaction)

    def _begun(self, *, is_nested: bool) -> _Wait:
        """What an operation begins with; StashLocked in the middle of a transaction of the same thread."""
        if is_nested and self._is_in_transaction():
            raise in_the_midst(self._path)
        return _Wait(is_nested=is_nested)

    def _is_without_tables(self) -> bool:
        if self._connection is None:  # it is while it was opened that a table was missing
            return False
        try:
            names = {name for (name,) in self._connection.execute("SELECT name FROM sqlite_master")}
        except sqlite3.Error:  # then it is the first error that tells what is wrong
            return False
        return not names or (names <= self._made_first and not os.path.exists(self._reserve))

    def _write(self, write: Callable[[Any], Result], *, needed: int | None = None) -> Result:
        """What *write* gives for the library's object; nothing of it is kept if it fails.

        *needed*: how many bytes are to be stored, for the error where there is no room.
        """
        is_nested = holds(self._turn)
        with self._turn:
            wait = self._begun(is_nested=is_nested)
            while True:
                try:
                    return write(self._ready())
                except _Replaced:
                    self._let_go()
                    self._has_reserve = False
                except _ERRORS as error:
                    self._wait_or_raise(error, wait, needed)
                except OSError as error:
                    explain(error, self._path, self._folder, needed)
                    raise
                finally:
                    if self._is_in_transaction():
                        self._connection.rollback()

    def _wait_or_raise(self, error: BaseException, wait: _Wait, needed: int | None = None) -> None:
        """Return where it is to be tried again, since another program has only locked the file, or SQLite was mistaken."""
        if may_pass(error) or is_stuck(error):
            # Whatever is open in this process shares what SQLite believes; and a page that it has found damaged it takes for
            # a sound one the next time, as long as it has it in memory.
            let_go_in(self._folder, patience=0.0)
        # Closed it was by what a signal handler or a finalizer of this thread has done meanwhile.
        is_closed = isinstance(error, sqlite3.ProgrammingError) and "closed" in str(error)
        if (may_pass(error) or is_closed) and not wait.is_second_try:
            wait.is_second_try = True
            return
        if not is_locked(error):
            raise explained(error, self._path, PATIENCE, needed) from error
        now = time.monotonic()
        others = others_of_this_thread(self, SqliteHandleEngine)
        # SQLite may not be done with the last statement of an outer operation, either.
        is_long = bool(wait.until) and now > wait.own_until and bool(wait.is_nested or others)
        if is_long or any(other._is_in_transaction() for other in others):  # noqa: SLF001
            raise in_the_midst(self._path) from error
        if not wait.until:
            wait.until, wait.own_until = now + PATIENCE, now + STUCK
        elif now > wait.until:
            raise explained(error, self._path, PATIENCE) from error
        elif now > wait.own_until:
            # Where the system has failed to give a lock back, SQLite keeps it until nothing in the process has the file open.
            let_go_in(self._folder, patience=0.0)
            wait.own_until = now + STUCK
        time.sleep(NAP / 10)  # where the library has not waited by itself

    def _transaction(self, write: Callable[[Any], Result], *, needed: int | None = None) -> Result:
        """Like :meth:`_write`, all of it or nothing."""

        def run(handle: Any) -> Result:
            self._begin(handle)
            result = write(handle)
            self._connection.execute("COMMIT")
            return result

        return self._write(run, needed=needed)

    def _storing(self, write: Callable[[Any], Result], *, needed: int) -> Result:
        """:meth:`_transaction`, again with an empty log where there is no room beside a full one."""
        try:
            return self._transaction(write, needed=needed)
        except StashFull:
            if not self._has_made_room():
                raise
        return self._transaction(write, needed=needed)

    def _has_made_room(self) -> bool:
        try:
            return self._write(lambda _: empty_log(self._connection, file=self._path))
        except OSError:
            return False  # somebody else has taken the room that it needs

    def _give_up_reserve(self, keep: int) -> bool:
        # Else a checkpoint, which needs room for all that is in the log, would take what is given up here.
        with contextlib.suppress(StashFull):  # of opening the file, for which what is given up may be enough
            self._write(lambda _: self._connection.execute("PRAGMA wal_autocheckpoint = 0"))
        return shrink_reserve(self._folder, keep=keep)

    def _begin(self, handle: Any) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        # Whoever puts another file in its place waits for this transaction, or has done so before it began. A folder that is
        # removed from now on takes this write along, as it would when that was done.
        if not self._connection.is_in_place():
            raise _Replaced
