"""SQLite files in whose place others are put: who has the old one open notices, and nobody writes into it meanwhile.

An open connection goes on with a file that was removed, with its folder or by a repair of another process. What is written
there, nobody reads.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from typing import TYPE_CHECKING, Any

from hashstash.engines._sqlite_answers import explained, locked
from hashstash.engines._sqlite_connections import NAP, connect, file_at, locked_by_hand
from hashstash.engines._sqlite_pages import check_header
from hashstash.errors import CorruptEntry, StashLocked
from hashstash.leaving import always_left

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hashstash.engines._sqlite_connections import Handle

try:
    import fcntl
except ImportError:  # a system on which nobody can replace a file that is open
    fcntl = None  # type: ignore[assignment]

_PENDING, _SHARED, _SHARED_SIZE = 0x40000000, 0x40000002, 510
"""Where SQLite's locks lie in a database: behind the first one, which keeps new readers out, lies that of a writer."""
_LOG_LOCK = 120
"""Where the lock of those who write into a write-ahead log lies, in the file with its index."""


class Kept:
    """SQLite's locks on the file at *path* and on its log, taken by hand, and what the log held brought into the file.

    Its own would be lost with the first descriptor of the file that is closed; and they do not keep out who opens the file
    between the old log's removal and the new file's arrival, and would make another log for it.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._descriptors: list[int] = []
        self._file: tuple[int, int] | None = None
        self._reader: Handle | None = None
        self._is_taken = False

    def take(self) -> bool:
        """Whether nobody is in the way; whoever is in the middle of reading may go on. Once taken, they stay so."""
        if self._is_taken:
            return True
        try:
            self._open_reader()  # first: what it does would take the locks away that this process has there already
            self._lock_all()
        except (BlockingIOError, StashLocked):
            self.close()
            return False
        self._is_taken = True
        return True

    def _lock_all(self) -> None:
        if fcntl is None or not os.path.isfile(self.path) or not os.access(self.path, os.W_OK):
            return  # it cannot be locked, nor written by such as us
        self._file = file_at(self.path)
        if self._file is not None:
            locked_by_hand.add(self._file)
        self._lock(self.path, (fcntl.LOCK_EX, _SHARED - _PENDING, _PENDING), (fcntl.LOCK_SH, _SHARED_SIZE, _SHARED))
        with contextlib.suppress(FileNotFoundError):  # then nobody has the log open, and nobody can open it now
            self._lock(f"{self.path}-shm", (fcntl.LOCK_EX, 1, _LOG_LOCK))

    def _lock(self, path: str, *parts: tuple[int, int, int]) -> None:
        self._descriptors.append(os.open(path, os.O_RDWR | os.O_CLOEXEC))
        for kind, size, start in parts:
            try:
                fcntl.lockf(self._descriptors[-1], kind | fcntl.LOCK_NB, size, start)
            except PermissionError as error:  # by the standard, this too says that somebody has a lock
                raise BlockingIOError(*error.args) from error

    def _open_reader(self) -> None:
        """Open what brings the log into the file when nobody writes any more, where SQLite can still read them."""
        with contextlib.suppress(CorruptEntry):
            check_header(self.path, "")
            self._reader = self._asked(lambda: connect(self.path, "rw"))
            self._read("SELECT count(*) FROM sqlite_schema")

    def _read(self, query: str) -> Any:
        """What the reader answers; ``None`` where there is none, since the file is damaged."""
        reader = self._reader
        return None if reader is None else self._asked(lambda: reader.execute(query).fetchone())

    def _asked(self, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise explained(error, self.path, NAP) from error

    def has_log(self) -> bool:
        """Whether the log holds what could not be brought into the file yet, which somebody is reading."""
        try:
            is_busy, pages, done = self._read("PRAGMA wal_checkpoint(PASSIVE)") or (0, 0, 0)
        except CorruptEntry:
            return False
        except StashLocked:
            return True
        return bool(is_busy) or pages != done  # somebody else may be at it, and then nobody knows how much is missing

    def content(self) -> bytes:
        """The bytes of the file; opened once more, it would lose the locks when it is closed."""
        try:
            with open(
                self._descriptors[0] if self._descriptors else self.path, "rb", closefd=not self._descriptors
            ) as file:
                return file.read()
        except (FileNotFoundError, IsADirectoryError):
            return b""

    def close_reader(self) -> None:
        """Close what has brought the log into the file."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def close(self) -> None:
        """Give the locks back."""
        self.close_reader()  # first: it would go on without its locks
        while self._descriptors:
            os.close(self._descriptors.pop())
        if self._file is not None:
            locked_by_hand.discard(self._file)


@always_left
def unwritten(path: str, let_go: Callable[[], Any], patience: float) -> Iterator[Kept]:
    """Keep all processes from writing into the file at *path*, and from opening it, while another is put in its place.

    *let_go* closes everything that this process has open on the file. StashLocked if others have been in the way for
    *patience* seconds. What was stored is in the file, unless that is too damaged for SQLite to read its log.
    """
    kept = Kept(path)
    deadline = time.monotonic() + patience
    try:
        let_go()
        while not kept.take() or kept.has_log():
            if time.monotonic() > deadline:
                raise locked(path, patience)
            time.sleep(NAP / 10)
        if fcntl is None:
            kept.close_reader()  # an open file cannot be replaced here
        yield kept
    finally:
        kept.close()
