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
from hashstash.engines._salvage import NEXT_STEP, gathered, replace_files
from hashstash.engines._sqlite_connections import Handle, note_open, opening, refuse_programs
from hashstash.engines._sqlite_pages import check_header, records_in
from hashstash.errors import CorruptEntry, StashFull, StashLocked
from hashstash.paths import create_file, is_shared_mount, make_folder
from hashstash.refusals import explain, locate, no_room, why_not

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Result = TypeVar("Result")

PATIENCE = 30.0
"""Seconds to wait for another process's transaction."""
_NAP = 0.05
"""Seconds that SQLite waits by itself; no interrupt is heard meanwhile."""
_SECOND_TRY = -1.0
_BATCH = 1000
_BATCH_OF_ROWS = 100
# Our own statements are always right: if SQLite finds something wrong with one, the tables are not what they should be.
_DAMAGED = {"SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_FORMAT", "SQLITE_ERROR"}
_ERRORS = (sqlite3.Error, OverflowError, UnicodeDecodeError)
_UNCLEAR = ("SQLITE_IOERR", "SQLITE_CANTOPEN")
_LOCKED = {"SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PROTOCOL"}
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
    _own_triggers: ClassVar[str] = r"(?!)"
    """What the SQL of the library's own triggers looks like."""

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
                check_header(self._path, self._reserve)
                return None
        except FileNotFoundError:
            return None
        return self._connect(read_only=self.is_read_only())

    def _connect(self, *, read_only: bool) -> Any:
        with opening:
            return self._connect_alone(read_only=read_only)

    def _connect_alone(self, *, read_only: bool) -> Any:
        check_header(self._path, self._reserve)
        if read_only:
            stamp = self._file_stamp()
            # Without a log there is nothing to share with writers, and nothing may be made in this folder.
            uri = f"file:{quote(self._path)}?mode=ro" + ("" if self._has_log() else "&immutable=1")
        else:
            stamp = None
            uri = f"file:{quote(self._path)}?mode=rw"
        connection = sqlite3.connect(
            uri, uri=True, timeout=_NAP, isolation_level=None, check_same_thread=False, factory=Handle
        )
        note_open(connection, self._path)
        try:
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA secure_delete = OFF")  # else each freed page is written, as builds of Debian do
            connection.execute(f"PRAGMA synchronous = {'FULL' if self._durable else 'NORMAL'}")
            refuse_programs(connection, self._path, self._own_triggers)
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

    # ---- operations ----------------------------------------------------------------------------------------------

    def _explanation(self, error: BaseException, needed: int | None = None) -> Exception:
        """What an error of SQLite means for the user."""
        name = _name(error)
        is_undecodable = isinstance(error, UnicodeDecodeError) or (not name and "decode" in str(error))
        if name in _DAMAGED or is_undecodable:
            return CorruptEntry(f"{self._path} is damaged or not what it should be ({error}); {NEXT_STEP}")
        if name == "SQLITE_FULL":
            return no_room(None, self._folder, needed)
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
        if name.startswith(_UNCLEAR):
            return why_not(self._folder, f"SQLite says: {error}", needed)
        return OSError(5, f"SQLite says: {error}", self._path)

    def _read(self, read: Callable[[Any], Result]) -> Result | None:
        """What *read* gives for the library's object; ``None`` if nothing was ever written."""
        with self._turn:
            deadline = 0.0
            while True:
                try:
                    handle = self._opened()
                    return None if handle is None else read(handle)
                except _ERRORS as error:
                    if "no such table" in str(error) and self._is_without_tables():
                        return None  # whoever made the file was stopped before there was anything in it
                    try:
                        deadline = self._wait_or_raise(error, deadline)
                    except StashFull:  # even reading needs room, for the index of the log
                        if not self._give_up_reserve():
                            raise
                except OSError as error:
                    locate(error, self._path)
                    raise

    def _is_without_tables(self) -> bool:
        return self._connection.execute("SELECT 1 FROM sqlite_master").fetchone() is None

    def _write(self, write: Callable[[Any], Result], *, needed: int | None = None) -> Result:
        """What *write* gives for the library's object; nothing of it is kept if it fails.

        *needed*: how many bytes are to be stored, for the error where there is no room.
        """
        with self._turn:
            deadline = 0.0
            while True:
                try:
                    return write(self._ready())
                except _ERRORS as error:
                    deadline = self._wait_or_raise(error, deadline, needed)
                except OSError as error:
                    explain(error, self._path, self._folder, needed)
                    raise
                finally:
                    if self._connection is not None and self._connection.in_transaction:
                        self._connection.rollback()

    def _wait_or_raise(self, error: BaseException, deadline: float, needed: int | None = None) -> float:
        """The moment until which to try again, where another program has only locked the file."""
        if _name(error) in _DAMAGED and deadline >= 0:
            # The library also says so when the system could not read: what is damaged is so when it is opened anew.
            self._let_go()
            return _SECOND_TRY
        if _name(error).startswith(("SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_PROTOCOL", "SQLITE_READONLY")):
            self._let_go()  # the library does not recover from all of them with the files that it has open
        if _name(error) not in _LOCKED:
            raise self._explanation(error, needed) from error
        now = time.monotonic()
        if deadline <= 0:
            return now + PATIENCE
        if now > deadline:
            raise self._explanation(error) from error
        return deadline

    def _transaction(self, write: Callable[[Any], Result], *, needed: int | None = None) -> Result:
        """Like :meth:`_write`, all of it or nothing."""

        def run(handle: Any) -> Result:
            self._begin(handle)
            result = write(handle)
            self._connection.execute("COMMIT")
            return result

        return self._write(run, needed=needed)

    def _begin(self, handle: Any) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def put(self, address: bytes, blob: bytes) -> None:
        self._transaction(lambda handle: self._store(handle, address, bytes(blob)), needed=len(blob))

    def put_many(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        items = iter([(address, bytes(blob)) for address, blob in rows])
        while batch := list(islice(items, 50 * _BATCH)):
            self._put_batch(batch)

    def _put_batch(self, rows: list[tuple[bytes, bytes]]) -> None:
        def write(handle: Any) -> None:
            for address, blob in rows:
                self._store(handle, address, blob)

        self._transaction(write, needed=sum(len(blob) for _, blob in rows))

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

        return self._transaction(write, needed=len(blob))

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
            if bound == ">" and rows[-1][0] <= start:
                raise CorruptEntry(f"{self._path} is damaged: its keys are out of order; {NEXT_STEP}")
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
            found = self._read(lambda _: self._connection.execute("PRAGMA integrity_check(20)").fetchall())
            problems = [f"{self._path}: {text}" for (text,) in found or () if text != "ok"]
            return problems or self._miscounted()
        except CorruptEntry as error:
            return [str(error)]

    def _miscounted(self) -> list[str]:
        query = f"SELECT count(*) FROM {self._table}"  # noqa: S608
        (total,) = self._read(lambda _: self._connection.execute(query).fetchone()) or (0,)
        ours, counted = sum(1 for _ in self.scan()), self.count()
        self.get(bytes(16))  # which asks for more columns
        if total == ours == counted:
            return []
        return [
            f"{self._path} counts {counted} rows and has {total}, of which {ours} have keys of a stash; {NEXT_STEP}"
        ]

    @abstractmethod
    def _row_in(self, record: list[Any]) -> tuple[bytes | None, bytes] | None:
        """The address and the blob in the columns of a record; ``None`` if it is another table's."""

    def rebuild(self, place_of: Callable[[bytes], bytes | None]) -> bool:
        with self._turn:
            if not os.path.exists(self._path):
                return False
            with contextlib.suppress(CorruptEntry, OSError):  # what the log holds, where SQLite can still tell
                self._empty_the_log()
            self._let_go()
            rows = (self._row_in(record) for record in records_in(self._path, self._table.strip('"')))
            found = gathered((row for row in rows if row is not None), place_of)
            names = [self._file + ending for ending in ("", "-wal", "-shm", "-journal")]
            replace_files(self._folder, names, found, self._make_section)
        return True

    @abstractmethod
    def _make_section(self, folder: str) -> SqliteFileEngine:
        """An engine like this one in another folder."""

    def sync(self) -> None:
        if self._read(lambda _: True) and self._stamp is None:
            self._write(lambda _: self._connection.execute("PRAGMA wal_checkpoint(FULL)").fetchall())


def _name(error: BaseException) -> str:
    """SQLite's name of the error, without its finer distinctions where the coarse one says enough."""
    name = getattr(error, "sqlite_errorname", None) or ""
    for known in (*_DAMAGED, *_LOCKED, *_READ_ONLY):
        if name.startswith(known):
            return known
    return str(name)
