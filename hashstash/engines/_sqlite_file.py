"""What engines share that keep their rows in a table which another library has made in a SQLite file.

The file is private under any umask, one connection serves all threads in turn, and what SQLite says becomes an error that
names the file and the next step.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from abc import abstractmethod
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar
from urllib.parse import quote

from hashstash.engine import WRITE_ID, Capability, WriteId
from hashstash.engines._embedded import EmbeddedEngine
from hashstash.errors import CorruptEntry, StashFull, StashLocked
from hashstash.paths import create_file, is_shared_mount, make_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Result = TypeVar("Result")

PATIENCE = 30.0
"""Seconds to wait for another process's transaction."""
_NAP = 0.05
"""Seconds that SQLite waits by itself; no interrupt is heard meanwhile."""
_BATCH = 1000
_BATCH_OF_ROWS = 100
_DAMAGED = {"SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_FORMAT"}
_NO_ROOM = {"SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE"}
_LOCKED = {"SQLITE_BUSY", "SQLITE_LOCKED"}
_READ_ONLY = {"SQLITE_READONLY", "SQLITE_PERM"}


def as_bytes(stored: Any) -> bytes:
    """A stored value as bytes. What is no blob was not written by us, and is left to whoever looks into rows to refuse."""
    if type(stored) is bytes:
        return stored
    return b"" if stored is None else str(stored).encode("utf-8", "surrogatepass")


class SqliteFileEngine(EmbeddedEngine):
    """Rows in the table *_table* of the SQLite file *_file*, opened by another library."""

    capabilities = (
        Capability.CROSS_PROCESS
        | Capability.SWAP
        | Capability.PREFIX_SCAN
        | Capability.LOCAL_FILES
        | Capability.SHARED_WRITERS
    )
    _file: ClassVar[str]
    _table: ClassVar[str]
    _also: ClassVar[str] = ""
    """What a query for a key has to ask for beside the key, as SQL."""

    def __init__(self, folder: str, *, durable: bool = False) -> None:
        super().__init__(folder, durable=durable)
        self._path = os.path.join(folder, self._file)
        self._connection: Any = None
        self._stamp: object = None
        self._is_ready = False

    def _sql(self, start: str, rest: str) -> str:
        """A query of the table, which cannot be a parameter of it."""
        return f"{start} FROM {self._table} WHERE {rest}{self._also}"

    @abstractmethod
    def _wrap(self, connection: sqlite3.Connection) -> Any:
        """The library's object over an open connection, for reading."""

    @abstractmethod
    def _prepare(self, handle: Any) -> None:
        """Make the library's tables and settings where they are missing."""

    @abstractmethod
    def _to_key(self, address: bytes) -> Any:
        """What stands for *address* in the column ``key``."""

    @abstractmethod
    def _to_address(self, key: Any) -> bytes | None:
        """The address that *key* stands for, or ``None`` for a key that is not ours."""

    @abstractmethod
    def _store(self, handle: Any, address: bytes, blob: bytes) -> None:
        """Let the library store one row, inside or outside of a transaction."""

    @abstractmethod
    def _remove(self, handle: Any, address: bytes) -> bool:
        """Let the library remove one row; return whether there was one."""

    # ---- the handle ----------------------------------------------------------------------------------------------

    def _opened(self) -> Any:
        """The library's object, with no transaction open; ``None`` if nothing was ever written."""
        handle = self._handle
        if handle is not None:
            if self._stamp is not None and self._stamp != self._file_stamp():
                self._let_go()  # SQLite believes that a file on read-only media never changes
                return self._opened()
            if self._connection.in_transaction:
                self._connection.rollback()  # an interrupt came in the instant before its owner could do so
            return handle
        try:
            if not os.path.getsize(self._path):
                return None
        except FileNotFoundError:
            return None
        return self._connect(read_only=self.is_read_only())

    def _connect(self, *, read_only: bool) -> Any:
        if read_only:
            stamp = self._file_stamp()
            # Without a log there is nothing to share with writers, and nothing may be made in this folder.
            uri = f"file:{quote(self._path)}?mode=ro" + ("" if self._has_log() else "&immutable=1")
        else:
            stamp = None
            uri = f"file:{quote(self._path)}?mode=rw"
        connection = sqlite3.connect(uri, uri=True, timeout=_NAP, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA secure_delete = OFF")  # else each freed page is written, as builds of Debian do
            connection.execute(f"PRAGMA synchronous = {'FULL' if self._durable else 'NORMAL'}")
            handle = self._wrap(connection)
        except BaseException:
            connection.close()
            raise
        self._connection, self._stamp, self._is_ready = connection, stamp, False
        self._handle = handle
        return handle

    def _file_stamp(self) -> object:
        status = os.stat(self._path)
        return status.st_ino, status.st_size, status.st_mtime_ns, self._has_log()

    def _has_log(self) -> bool:
        try:
            return os.path.getsize(self._path + "-wal") > 0
        except FileNotFoundError:
            return False

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
            handle = self._connect(read_only=False)
        if not self._is_ready:
            self._make_tables(handle)
            self._is_ready = True
        return handle

    def _make_tables(self, handle: Any) -> None:
        self._make_reserve()
        self._connection.execute(f"PRAGMA journal_mode = {self._journal()}")
        self._prepare(handle)

    def _journal(self) -> str:
        """The mode of the journal: what is shared by machines has no shared memory, which a write-ahead log would need."""
        return "delete" if is_shared_mount(self._folder) else "wal"

    # ---- operations ----------------------------------------------------------------------------------------------

    def _explanation(self, error: BaseException) -> Exception:
        """What an error of SQLite means for the user."""
        name = _name(error)
        if name in _DAMAGED or (isinstance(error, sqlite3.DatabaseError) and "no such" in str(error)):
            return CorruptEntry(f"{self._path} is damaged or not what it should be ({error}); move it aside")
        if name in _NO_ROOM:
            return StashFull(28, f"no room to write to {self._path} ({error}); free some, or clear a stash")
        if name in _LOCKED:
            return StashLocked(
                f"{self._path} has been locked by another program for {PATIENCE:.0f} s; end it, or try again"
            )
        if name.startswith("SQLITE_CANTOPEN") and self.is_read_only():
            text = "the last writes lie in a log that needs a writable folder; copy this folder to one"
            return PermissionError(13, text, self._folder)
        if name in _READ_ONLY:
            return PermissionError(13, f"{error}", self._path)
        if name == "SQLITE_TOOBIG" or isinstance(error, OverflowError):
            return StashFull(27, f"one row is larger than SQLite takes, in {self._path}; store it in parts")
        return OSError(5, f"SQLite says: {error}", self._path)

    def _read(self, read: Callable[[Any], Result]) -> Result | None:
        """What *read* gives for the library's object; ``None`` if nothing was ever written."""
        with self._turn:
            deadline = 0.0
            while True:
                try:
                    handle = self._opened()
                    return None if handle is None else read(handle)
                except (sqlite3.Error, OverflowError) as error:
                    if "no such table" in str(error) and self._is_without_tables():
                        return None  # whoever made the file was stopped before there was anything in it
                    deadline = self._wait_or_raise(error, deadline)

    def _is_without_tables(self) -> bool:
        return self._connection.execute("SELECT 1 FROM sqlite_master").fetchone() is None

    def _write(self, write: Callable[[Any], Result]) -> Result:
        """What *write* gives for the library's object; nothing of it is kept if it fails."""
        with self._turn:
            deadline = 0.0
            while True:
                try:
                    return write(self._ready())
                except (sqlite3.Error, OverflowError) as error:
                    deadline = self._wait_or_raise(error, deadline)
                finally:
                    if self._connection is not None and self._connection.in_transaction:
                        self._connection.rollback()

    def _wait_or_raise(self, error: BaseException, deadline: float) -> float:
        """The moment until which to try again, where another program has only locked the file."""
        if _name(error) not in _LOCKED:
            raise self._explanation(error) from error
        now = time.monotonic()
        if not deadline:
            return now + PATIENCE
        if now > deadline:
            raise self._explanation(error) from error
        return deadline

    def _transaction(self, write: Callable[[Any], Result]) -> Result:
        """Like :meth:`_write`, all of it or nothing."""

        def run(handle: Any) -> Result:
            self._begin(handle)
            result = write(handle)
            self._connection.execute("COMMIT")
            return result

        return self._write(run)

    def _begin(self, handle: Any) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def put(self, address: bytes, blob: bytes) -> None:
        self._transaction(lambda handle: self._store(handle, address, bytes(blob)))

    def put_many(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        items = iter([(address, bytes(blob)) for address, blob in rows])
        while batch := list(islice(items, 50 * _BATCH)):
            self._put_batch(batch)

    def _put_batch(self, rows: list[tuple[bytes, bytes]]) -> None:
        def write(handle: Any) -> None:
            for address, blob in rows:
                self._store(handle, address, blob)

        self._transaction(write)

    def delete(self, address: bytes) -> bool:
        if not self.has(address):
            return False
        return self._removing(
            lambda: self._transaction(lambda handle: self._remove(handle, address)), self._keep_the_log
        )

    def _keep_the_log(self) -> None:
        """Let the log grow: bringing it into the database would take all of the room that was just made."""
        self._write(lambda _: self._connection.execute("PRAGMA wal_autocheckpoint = 0"))

    def _empty_the_log(self) -> None:
        self._write(lambda _: self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())
        self._write(lambda _: self._connection.execute("PRAGMA wal_autocheckpoint = 1000"))

    def swap(self, address: bytes, expected: WriteId | None, blob: bytes) -> bool:
        def write(handle: Any) -> bool:
            found = self._select(f"SELECT substr(value, 1, {WRITE_ID.stop})", address)
            if (as_bytes(found[0])[WRITE_ID] if found else None) != expected:
                return False
            self._store(handle, address, bytes(blob))
            return True

        return self._transaction(write)

    def _select(self, start: str, address: bytes) -> Any:
        return self._connection.execute(self._sql(start, "key = ?"), (self._to_key(address),)).fetchone()

    def has(self, address: bytes) -> bool:
        return bool(self._read(lambda _: self._select("SELECT 1", address)))

    def peek(self, address: bytes, size: int) -> bytes | None:
        found = self._read(lambda _: self._select(f"SELECT substr(value, 1, {int(size)})", address))
        return as_bytes(found[0]) if found else None

    def get_many(self, addresses: Iterable[bytes]) -> Iterator[bytes | None]:
        wanted = iter(addresses)
        while batch := list(islice(wanted, _BATCH_OF_ROWS)):
            yield from self._get_batch(batch)

    def _get_batch(self, addresses: list[bytes]) -> list[bytes | None]:
        marks = ",".join("?" * len(addresses))
        query = self._sql("SELECT key, value", f"key IN ({marks})")
        keys = [self._to_key(address) for address in addresses]
        found = dict(self._read(lambda _: self._connection.execute(query, keys).fetchall()) or ())
        return [as_bytes(found[key]) if key in found else None for key in keys]

    def scan(self, prefix: bytes = b"") -> Iterator[bytes]:
        for address, _ in self._batches(prefix, "NULL", _BATCH):
            yield address

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        for address, value in self._batches(b"", "value", _BATCH_OF_ROWS):
            yield address, as_bytes(value)

    def _batches(self, prefix: bytes, column: str, size: int) -> Iterator[tuple[bytes, Any]]:
        """Addresses with a column, in batches, so that nobody waits while the caller works."""
        start, bound = self._to_key(prefix), ">="
        kind = "text" if isinstance(start, str) else "blob"
        while True:
            query = self._sql(f"SELECT key, {column}", f"key {bound} ? AND typeof(key) = '{kind}'")
            query += f" ORDER BY key LIMIT {size}"
            rows = self._read(lambda _, query=query, start=start: self._connection.execute(query, (start,)).fetchall())  # type: ignore[misc]
            for key, value in rows or ():
                address = self._to_address(key)
                if address is None:
                    continue
                if not address.startswith(prefix):
                    return
                yield address, value
            if not rows:
                return
            start, bound = rows[-1][0], ">"

    def _clear_rows(self) -> None:
        if self._read(lambda _: True):
            self._removing(lambda: self._transaction(self._remove_all), self._keep_the_log)
            with contextlib.suppress(StashFull):  # what is left is small now: this is what makes a full disk free again
                self._removing(self.compact)

    def _remove_all(self, handle: Any) -> None:
        """Remove all rows at once, which writes to a few pages only where no trigger looks at each row."""
        execute = self._connection.execute
        triggers = execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?", (self._table,)
        ).fetchall()
        for name, _ in triggers:
            execute('DROP TRIGGER "{}"'.format(name.replace('"', '""')))
        execute(f"DELETE FROM {self._table}")  # noqa: S608
        for _, definition in triggers:
            execute(definition)

    def count(self) -> int:
        return int(self._read(len) or 0)

    def size_bytes(self) -> int:
        def read(_: Any) -> int:
            pages, free, size = (
                self._connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("page_count", "freelist_count", "page_size")
            )
            return int((pages - free) * size)

        return self._read(read) or 0

    def compact(self) -> None:
        if self._read(lambda _: True):
            self._write(lambda _: self._connection.execute("VACUUM"))
            self._empty_the_log()

    def check(self) -> list[str]:
        try:
            found = self._read(lambda _: self._connection.execute("PRAGMA quick_check(20)").fetchall())
        except CorruptEntry as error:
            return [str(error)]
        return [f"{self._path}: {text}" for (text,) in found or () if text != "ok"]

    def sync(self) -> None:
        if self._read(lambda _: True) and self._stamp is None:
            self._write(lambda _: self._connection.execute("PRAGMA wal_checkpoint(FULL)").fetchall())


def _name(error: BaseException) -> str:
    """SQLite's name of the error, without its finer distinctions where the coarse one says enough."""
    name = getattr(error, "sqlite_errorname", None) or ""
    if name in _NO_ROOM:
        return str(name)
    for known in (*_DAMAGED, *_LOCKED, *_READ_ONLY):
        if name.startswith(known):
            return known
    return str(name)
