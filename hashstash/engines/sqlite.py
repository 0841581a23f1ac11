"""Rows in an SQLite database of the standard library: no package, no server, one file, transactions among all processes.

One connection per thread, opened when it is needed, closed when its thread ends, and closed before every fork: SQLite must
neither use nor close in a child what its parent has opened. No helper thread. Every read and write is one statement, so that
an interrupt finds no open transaction, and waits for other writers in short naps, so that it is heard.

Rows have numbers beside their addresses, rather than lying in the tree of the addresses: measured at 300 bytes, this stores new
rows in four fifths of the time and reads as fast. Triggers keep the number of rows, which costs a tenth of a new row.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from hashstash.engine import WRITE_ID, Capability, FolderEngine, WriteId
from hashstash.engines._salvage import NEXT_STEP, gathered, replace_files
from hashstash.engines._sqlite_connections import (
    NAP,
    Connection,
    close_group,
    connect,
    is_mine,
    is_open_here,
    note_open,
    open_among,
    transaction,
    uri,
)
from hashstash.engines._sqlite_pages import check_header, records_in
from hashstash.errors import CorruptEntry, StashFull, StashLocked
from hashstash.paths import create_file, is_shared_mount, is_there, make_folder
from hashstash.refusals import naming, no_room, why_not

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Result = TypeVar("Result")

PATIENCE = 30.0
"""Seconds to wait for another writer."""
_FILE = "rows.sqlite"
_FILES = (_FILE, f"{_FILE}-wal", f"{_FILE}-shm", f"{_FILE}-journal")
_RESERVE = "reserve"
_RESERVE_SIZE = 256 * 1024
_RESERVE_STEP = 32 * 1024
_BATCH = 1000
_BATCH_BYTES = 8 << 20
_MAPPED = 256 << 20
_LOG_PAGES = 4000  # 16 MB: what a checkpoint syncs is shared by more writes, and one block of the log's index covers it
_APPLICATION = 0x48535448  # "HSTH"

_ADD = "CREATE TRIGGER added AFTER INSERT ON rows BEGIN UPDATE counter SET rows = rows + 1; END"
_REMOVE = "CREATE TRIGGER removed AFTER DELETE ON rows BEGIN UPDATE counter SET rows = rows - 1; END"
_SCHEMA = (
    "CREATE TABLE rows (number INTEGER PRIMARY KEY, address BLOB NOT NULL UNIQUE, blob BLOB NOT NULL)",
    "CREATE TABLE counter (rows INTEGER NOT NULL)",
    _ADD,
    _REMOVE,
)
_GET = "SELECT blob FROM rows WHERE address = ?"
_PUT = "INSERT INTO rows (address, blob) VALUES (?, ?) ON CONFLICT (address) DO UPDATE SET blob = excluded.blob"
_PUT_IF_ABSENT = "INSERT INTO rows (address, blob) VALUES (?, ?) ON CONFLICT (address) DO NOTHING"
_SWAP = f"UPDATE rows SET blob = ?1 WHERE address = ?2 AND coalesce(substr(blob, {WRITE_ID.start + 1}, 8), x'') = ?3"  # noqa: S608

_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
_UNCLEAR = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN})
_STUCK = _UNCLEAR | {sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_READONLY}
# Our own statements are always right: if SQLite finds something wrong with one, the tables are not what they should be.
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR})


class SqliteEngine(FolderEngine):
    """Rows in ``<folder>/rows.sqlite``; *timeout*: seconds to wait while another process writes."""

    name = "sqlite"
    title = "Sqlite"
    knows_size = True
    capabilities = (
        Capability.CROSS_PROCESS
        | Capability.SWAP
        | Capability.PREFIX_SCAN
        | Capability.LOCAL_FILES
        | Capability.SHARED_WRITERS
    )
    options = ("timeout",)
    settings = ("durable",)
    needs_local_disk = True

    def __init__(self, folder: str, *, durable: bool = False, timeout: float = PATIENCE) -> None:
        super().__init__(folder)
        self._durable = durable
        self._timeout = timeout
        self._file = os.path.join(folder, _FILE)
        self._local = threading.local()
        self._connections: weakref.WeakSet[Connection] = weakref.WeakSet()

    def _make_section(self, folder: str) -> SqliteEngine:
        return SqliteEngine(folder, durable=self._durable, timeout=self._timeout)

    # ---- connections ---------------------------------------------------------------------------------------------

    def _connection(self, *, write: bool) -> Connection | None:
        """The connection of this thread; ``None`` if nothing was ever written and nothing is to be."""
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is not None and not connection.is_closed:
            return connection
        if not write and self._is_empty():
            return None
        with naming(self._file):
            connection = self._local.connection = open_among(self._connections, self._open)
        return connection

    def _is_empty(self) -> bool:
        """Whether nothing was ever written: the file is made before there is room for anything in it, and the reserve last."""
        try:
            return os.stat(self._file).st_size == 0 and not os.path.exists(os.path.join(self._folder, _RESERVE))
        except (FileNotFoundError, NotADirectoryError):
            return True

    def _open(self) -> Connection:
        read_only = os.path.isdir(self._folder) and not os.access(self._folder, os.W_OK)
        check_header(self._file, os.path.join(self._folder, _RESERVE))
        if read_only:
            return self._open_read_only()
        self._make_files()
        while True:
            raw = connect(self._file)
            try:
                self._prepare(raw)
                _make_reserve(os.path.join(self._folder, _RESERVE))  # last: it says that there are tables
                return Connection(raw, read_only=False)
            except sqlite3.Error as error:
                raw.close()
                # Even reading needs room, for the index of the log: what was put by for deleting is enough for that.
                if not (isinstance(self._explained(error), StashFull) and self._shrink_reserve(_RESERVE_SIZE // 2)):
                    raise
            except BaseException:
                raw.close()
                raise

    def _open_read_only(self) -> Connection:
        if not is_there(self._file):
            raise PermissionError(13, "the folder of this stash is read-only", self._folder)
        stamp = self._stamp()
        has_log = bool(stamp[-1])
        # Without a log there is no writer now, and the file can be read without locks and an index, which cannot be made here.
        raw = connect(uri(self._file, "mode=ro" if has_log else "immutable=1"), uri=True)
        note_open(raw, self._file)
        try:
            self._check_schema(raw)
        except sqlite3.OperationalError as error:
            raw.close()
            if has_log and error.sqlite_errorcode == sqlite3.SQLITE_CANTOPEN:
                raise PermissionError(
                    13,
                    "the last writes lie in a log that needs a writable folder; copy this folder to one",
                    self._folder,
                ) from error
            raise
        except BaseException:
            raw.close()
            raise
        return Connection(raw, read_only=True, stamp=() if has_log else stamp)

    def _stamp(self) -> tuple[int, ...]:
        """What changes when somebody, who sees this folder in another way, writes to the database."""
        status = os.stat(self._file)
        try:
            log = os.stat(self._file + "-wal").st_size
        except FileNotFoundError:
            log = 0
        return status.st_ino, status.st_mtime_ns, status.st_size, log

    def _make_files(self) -> None:
        if not is_there(self._file):
            make_folder(self._folder)
            with contextlib.suppress(FileExistsError):
                os.close(create_file(self._file))  # the library gives its other files the rights that this one has
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(self._folder, _RESERVE))  # of a file that is gone

    def _prepare(self, raw: sqlite3.Connection) -> None:
        # What is shared by machines has no shared memory, which the index of a write-ahead log would need.
        journal = "delete" if is_shared_mount(self._folder) else "wal"
        raw.execute(f"PRAGMA journal_mode = {journal}")
        raw.execute(f"PRAGMA synchronous = {'FULL' if self._durable or journal != 'wal' else 'NORMAL'}")
        raw.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
        if journal == "wal" and is_mine(self._file):
            raw.execute(f"PRAGMA mmap_size = {_MAPPED}")
        if not self._check_schema(raw):
            transaction(raw, _create)
            self._check_schema(raw)

    def _check_schema(self, raw: sqlite3.Connection) -> bool:
        """Whether the tables are there; CorruptEntry if there is anything else: views and triggers of strangers would run."""
        found = {text for (text,) in raw.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")}
        if found and found != set(_SCHEMA):
            raise CorruptEntry(f"{self._file} is an SQLite database, but none of a stash; move it aside")
        return bool(found)

    @classmethod
    def from_url(cls, url: str) -> tuple[str, dict[str, Any]]:
        name, options = super().from_url(url)
        return ("/" + name.lstrip("/") if name.startswith("//") else name), options  # four slashes, as others write it

    # ---- operations ----------------------------------------------------------------------------------------------

    def _run(
        self, operation: Callable[[sqlite3.Connection], Result], *, write: bool, needed: int | None = None
    ) -> Result | None:
        """What *operation*, which may be repeated, gives on this thread's connection; ``None`` if there is no database.

        *needed*: how many bytes it is to store, for the error where there is no room.
        """
        deadline = time.monotonic() + self._timeout
        is_second_try = False
        while True:
            connection = None
            try:
                connection = self._connection(write=write)
                if connection is None:
                    return None
                if write and connection.read_only:
                    raise PermissionError(13, "the folder of this stash is read-only", self._folder)
                if connection.stamp and connection.stamp != self._stamp():
                    connection.close()
                    continue
                with connection.lock:
                    if connection.raw.in_transaction:  # of an operation that was interrupted twice
                        connection.raw.rollback()
                    return operation(connection.raw)
            except sqlite3.ProgrammingError:
                if connection is None or not connection.is_closed:
                    raise
            except UnicodeDecodeError as error:  # in what the library says of a text that it cannot read
                raise self._is_damaged(error) from error
            except sqlite3.Error as error:
                if _code(error) & 0xFF in _DAMAGE and not is_second_try:
                    # The library also says so when the system could not read: what is damaged is so when it is opened anew.
                    is_second_try = True
                    if connection is not None:
                        connection.close()
                    continue
                if _code(error) & 0xFF in _STUCK and connection is not None:
                    connection.close()  # the library does not recover from all of them with the files that it has open
                if _code(error) & 0xFF not in _BUSY or time.monotonic() > deadline:
                    raise self._explained(error, needed) from error
                time.sleep(NAP / 10)  # where the library does not wait by itself, as when the journal is chosen

    def _explained(self, error: sqlite3.Error, needed: int | None = None) -> Exception:
        code = _code(error)
        if code == sqlite3.SQLITE_FULL:
            return no_room(None, self._folder, needed)
        if code & 0xFF in _DAMAGE or (not code and "decode" in str(error)):
            return self._is_damaged(error)
        if code & 0xFF in _BUSY:
            return StashLocked(
                f"{self._file} has been locked by another process for {self._timeout:g} seconds; end that one, or try again"
            )
        if code & 0xFF == sqlite3.SQLITE_READONLY:
            return PermissionError(13, f"the database of this stash cannot be written ({error})", self._file)
        if code & 0xFF in _UNCLEAR:
            return _os_error(self._file) or why_not(self._folder, f"SQLite says: {error}", needed)
        return OSError(5, f"SQLite says: {error}", self._file)

    def _is_damaged(self, error: Exception) -> CorruptEntry:
        return CorruptEntry(f"{self._file} is damaged ({error}); {NEXT_STEP}")

    def _free(self, operation: Callable[[sqlite3.Connection], Result], *, keep: int) -> Result | None:
        """Run what makes room, which itself needs a little: of what was put by for this, all but *keep* bytes is given up."""
        while True:
            try:
                return self._run(operation, write=True)
            except StashFull:
                if not self._give_up_reserve(keep):
                    raise

    def _give_up_reserve(self, keep: int) -> bool:
        # Else a checkpoint, which needs room for all that is in the log, would take what is given up here.
        self._run(lambda raw: raw.execute("PRAGMA wal_autocheckpoint = 0"), write=True)
        return self._shrink_reserve(keep)

    def _shrink_reserve(self, keep: int) -> bool:
        path = os.path.join(self._folder, _RESERVE)
        with contextlib.suppress(FileNotFoundError):
            size = os.path.getsize(path)
            if size > keep:
                os.truncate(path, max(keep, size - _RESERVE_STEP))
                return True
        return False

    def _settle(self) -> None:
        """Bring what the log holds into the database and make the log empty, if nobody is in the way."""
        with contextlib.suppress(OSError):
            self._run(_checkpoint, write=True)

    def get(self, address: bytes) -> bytes | None:
        try:
            connection = self._local.connection
            with connection.lock:
                row = connection.execute(_GET, (address,)).fetchone()
        except (AttributeError, sqlite3.Error, UnicodeDecodeError):
            row = self._run(lambda raw: raw.execute(_GET, (address,)).fetchone(), write=False)
        return None if row is None else row[0] if type(row[0]) is bytes else _as_bytes(row[0])

    def put(self, address: bytes, blob: bytes) -> None:
        try:
            connection = self._local.connection
            with connection.lock:
                if not connection.raw.in_transaction:
                    connection.execute(_PUT, (address, blob))
                    return
        except (AttributeError, sqlite3.Error, UnicodeDecodeError):
            pass  # not open yet, busy, or the long way says what is wrong
        self._run(lambda raw: raw.execute(_PUT, (address, blob)), write=True, needed=len(blob))

    def put_many(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        batch: dict[bytes, bytes] = {}
        size = 0
        for address, blob in rows:
            batch[address] = blob
            size += len(blob)
            if size > _BATCH_BYTES or len(batch) >= 10 * _BATCH:
                self._put_batch(batch)
                batch, size = {}, 0
        if batch:
            self._put_batch(batch)

    def _put_batch(self, batch: dict[bytes, bytes]) -> None:
        rows = sorted(batch.items())
        needed = sum(len(blob) for _, blob in rows)
        self._run(lambda raw: transaction(raw, lambda raw: raw.executemany(_PUT, rows)), write=True, needed=needed)

    def delete(self, address: bytes) -> bool:
        if not self.has(address):
            return False
        query = "DELETE FROM rows WHERE address = ?"
        return bool(self._free(lambda raw: raw.execute(query, (address,)).rowcount, keep=_RESERVE_SIZE // 4))

    def has(self, address: bytes) -> bool:
        query = "SELECT 1 FROM rows WHERE address = ?"
        return self._run(lambda raw: raw.execute(query, (address,)).fetchone(), write=False) is not None

    def peek(self, address: bytes, size: int) -> bytes | None:
        query = "SELECT substr(blob, 1, ?) FROM rows WHERE address = ?"
        row = self._run(lambda raw: raw.execute(query, (size, address)).fetchone(), write=False)
        return None if row is None else _as_bytes(row[0])  # a part of nothing is NULL

    def get_many(self, addresses: Iterable[bytes]) -> Iterator[bytes | None]:
        wanted = list(addresses)
        while wanted:
            # As many as the memory for one batch holds, in one transaction: the locks are what most of a read costs.
            found = self._run(partial(_get_batch, addresses=wanted), write=False)
            found = [None] * len(wanted) if found is None else found
            wanted = wanted[len(found) :]
            yield from found

    def scan(self, prefix: bytes = b"") -> Iterator[bytes]:
        query = "SELECT address FROM rows WHERE address >= ? ORDER BY address LIMIT ?"
        start = prefix
        while True:
            batch = self._run(lambda raw: raw.execute(query, (start, _BATCH)).fetchall(), write=False)  # noqa: B023
            for (address,) in batch or ():
                if type(address) is not bytes or address < start:
                    raise CorruptEntry(f"{self._file} is damaged: its addresses are out of order; {NEXT_STEP}")
                if not address.startswith(prefix):
                    return
                yield address
            if not batch or len(batch) < _BATCH:
                return
            start = batch[-1][0] + b"\0"

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        # Not beyond what there is now: who stores a row for each one that he sees would never come to an end.
        newest = self._run(lambda raw: raw.execute("SELECT max(number) FROM rows").fetchone(), write=False)
        last, end = 0, (newest or (0,))[0] or 0
        while batch := self._run(partial(_rows_between, after=last, end=end), write=False):
            if batch[-1][0] <= last:
                raise CorruptEntry(f"{self._file} is damaged: its rows are out of order; {NEXT_STEP}")
            for _, address, blob in batch:
                if type(address) is bytes:
                    yield address, blob
            last = batch[-1][0]

    def swap(self, address: bytes, expected: WriteId | None, blob: bytes) -> bool:
        def swap(raw: sqlite3.Connection) -> int:
            if expected is None:
                return raw.execute(_PUT_IF_ABSENT, (address, blob)).rowcount
            return raw.execute(_SWAP, (blob, address, expected)).rowcount

        return bool(self._run(swap, write=True, needed=len(blob)))

    def clear(self) -> None:
        if is_there(self._file):
            self._free(lambda raw: transaction(raw, _delete_all), keep=0)
            with contextlib.suppress(OSError):  # the rows are gone; their room may be in use by a reader or a writer
                self._run(_vacuum_if_empty, write=True)
            self._settle()
            _make_reserve(os.path.join(self._folder, _RESERVE))
        self.clear_sections()

    def count(self) -> int:
        row = self._run(lambda raw: raw.execute("SELECT rows FROM counter").fetchone(), write=False)
        return 0 if row is None else int(row[0])

    def size_bytes(self) -> int:
        query = (
            "SELECT (pages.page_count - free.freelist_count) * size.page_size"
            " FROM pragma_page_count() AS pages, pragma_freelist_count() AS free, pragma_page_size() AS size"
        )
        row = self._run(lambda raw: raw.execute(query).fetchone(), write=False)
        return 0 if row is None else int(row[0])

    def compact(self) -> None:
        """Make the file as small as its rows are, and count them anew."""
        if is_there(self._file):
            self._run(lambda raw: transaction(raw, _count_anew), write=True)
            self._run(lambda raw: raw.execute("VACUUM"), write=True)
            self._settle()

    def check(self) -> list[str]:
        try:
            return self._run(_problems, write=False) or []
        except CorruptEntry as error:
            return [str(error)]

    def rebuild(self, place_of: Callable[[bytes], bytes | None]) -> bool:
        if not is_there(self._file):
            return False
        with contextlib.suppress(CorruptEntry, StashLocked):  # what the log holds, where SQLite can still tell
            self._run(_checkpoint, write=True)
        close_group(self._connections)
        found = (
            (record[1], record[2])
            for record in records_in(self._file, "rows")
            if len(record) == 3 and type(record[1]) is type(record[2]) is bytes
        )
        replace_files(self._folder, _FILES, gathered(found, place_of), self._make_section)
        return True

    def sync(self) -> None:
        if is_there(self._file):
            self._run(lambda raw: raw.execute("PRAGMA wal_checkpoint(FULL)").fetchall(), write=False)

    def close(self) -> None:
        close_group(self._connections)
        super().close()


def _make_reserve(path: str) -> None:
    """Put some room by, so that rows can be deleted when the disk is full."""
    with contextlib.suppress(OSError):  # there is none, or another process has just done so
        if os.path.exists(path):
            if os.path.getsize(path) == _RESERVE_SIZE:
                return
            os.unlink(path)
        descriptor = create_file(path)
        try:
            os.write(descriptor, bytes(_RESERVE_SIZE))
        finally:
            os.close(descriptor)


def _os_error(path: str) -> OSError | None:
    """What the system says against opening *path*: the library tells only that it could not."""
    if is_open_here(path):
        return None
    try:
        os.close(os.open(path, os.O_RDONLY))
    except OSError as error:
        return error
    return None


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", None) or 0


def _as_bytes(stored: Any) -> bytes:
    """A stored value as bytes. What is no blob was not written by us, and is left to whoever looks into rows to refuse."""
    if type(stored) is bytes:
        return stored
    return b"" if stored is None else str(stored).encode("utf-8", "surrogatepass")


def _create(raw: sqlite3.Connection) -> None:
    if raw.execute("SELECT 1 FROM sqlite_schema").fetchone() is None:  # another process may have been faster
        for statement in _SCHEMA:
            raw.execute(statement)
        raw.execute("INSERT INTO counter VALUES (0)")
        raw.execute(f"PRAGMA application_id = {_APPLICATION}")


def _get_batch(raw: sqlite3.Connection, *, addresses: list[bytes]) -> list[bytes | None]:
    found: list[bytes | None] = []

    def get(raw: sqlite3.Connection) -> None:
        size = 0
        for address in addresses[:_BATCH]:
            row = raw.execute(_GET, (address,)).fetchone()
            found.append(None if row is None else _as_bytes(row[0]))
            size += len(found[-1] or b"")
            if size > _BATCH_BYTES:
                return

    transaction(raw, get, kind="DEFERRED")
    return found


def _rows_between(raw: sqlite3.Connection, *, after: int, end: int) -> list[tuple[int, bytes, bytes]]:
    """The next rows by number, as many as the memory for one batch holds."""
    query = "SELECT number, address, blob FROM rows WHERE number > ? AND number <= ? ORDER BY number LIMIT ?"
    cursor = raw.execute(query, (after, end, _BATCH))
    batch: list[tuple[int, bytes, bytes]] = []
    size = 0
    try:
        for number, address, blob in cursor:
            batch.append((number, address, _as_bytes(blob)))
            size += len(batch[-1][2])
            if size > _BATCH_BYTES:
                break
    finally:
        cursor.close()
    return batch


def _delete_all(raw: sqlite3.Connection) -> None:
    """Without the trigger, which would visit every row, the library drops whole pages and writes next to nothing."""
    raw.execute("DROP TRIGGER removed")
    raw.execute("DELETE FROM rows")
    raw.execute("UPDATE counter SET rows = 0")
    raw.execute(_REMOVE)


def _vacuum_if_empty(raw: sqlite3.Connection) -> None:
    if raw.execute("SELECT 1 FROM rows LIMIT 1").fetchone() is None:
        raw.execute("VACUUM")


def _checkpoint(raw: sqlite3.Connection) -> None:
    raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    raw.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")


def _count_anew(raw: sqlite3.Connection) -> None:
    raw.execute("UPDATE counter SET rows = (SELECT count(*) FROM rows)")


def _problems(raw: sqlite3.Connection) -> list[str]:
    found = [str(text) for (text,) in raw.execute("PRAGMA integrity_check(20)") if text != "ok"]
    if not found:
        counted, real = raw.execute("SELECT (SELECT rows FROM counter), (SELECT count(*) FROM rows)").fetchone()
        if counted != real:
            found.append(f"the database counts {counted} rows and has {real}; compact() counts them anew")
    return found


PLUGIN = SqliteEngine
