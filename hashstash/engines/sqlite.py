"""Rows in an SQLite database of the standard library: no package, no server, one file, transactions among all processes.

One connection per thread, opened when it is needed, closed when its thread ends, and closed before every fork: SQLite must
neither use nor close in a child what its parent has opened. No helper thread. Every read and write is one statement, so that
an interrupt finds no open transaction, and waits for other writers in short naps, so that it is heard.
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

from hashstash.engine import Capability, Change, FolderEngine, WriteId
from hashstash.engines import _sqlite_statements as statements
from hashstash.engines._nested import holds, in_the_midst
from hashstash.engines._options import seconds
from hashstash.engines._salvage import NEXT_STEP, gathered, replace_files
from hashstash.engines._sqlite_answers import (
    as_bytes,
    explained,
    is_given_up,
    is_locked,
    is_stuck,
    locked,
    may_pass,
)
from hashstash.engines._sqlite_connections import (
    NAP,
    PATIENCE,
    STUCK,
    Connection,
    close_all_on,
    close_group,
    close_idle_on,
    file_at,
    is_in_the_midst,
    open_among,
    refuse_replaced,
    replacing,
    stamp_of,
    transaction,
)
from hashstash.engines._sqlite_opening import RESERVE_SIZE, empty_log, is_new, make_reserve, open_rows, shrink_reserve
from hashstash.engines._sqlite_pages import bytes_of, records_of
from hashstash.engines._sqlite_replaced import unwritten
from hashstash.engines._sqlite_statements import (
    BATCH,
    BATCH_BYTES,
    DELETE_IF,
    GET,
    HAS_EXPECTED,
    PUT,
)
from hashstash.errors import CorruptEntry, StashFull
from hashstash.paths import is_there
from hashstash.refusals import naming, read_only

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Result = TypeVar("Result")

_FILE = "rows.sqlite"
_FILES = (_FILE, f"{_FILE}-wal", f"{_FILE}-shm", f"{_FILE}-journal")


class SqliteEngine(FolderEngine):
    """Rows in ``<folder>/rows.sqlite``.

    *read_only*: nothing of that file is changed; *timeout*: seconds to wait while another process writes.
    """

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
    settings = ("durable", "read_only")
    needs_local_disk = True

    def __init__(
        self, folder: str, *, durable: bool = False, read_only: bool = False, timeout: float = PATIENCE
    ) -> None:
        super().__init__(folder)
        self._durable = durable
        self._read_only = read_only
        self._timeout = seconds(timeout, "timeout")
        self._file = os.path.join(folder, _FILE)
        self._local = threading.local()
        self._connections: weakref.WeakSet[Connection] = weakref.WeakSet()

    def _make_section(self, folder: str) -> SqliteEngine:
        return SqliteEngine(folder, durable=self._durable, read_only=self._read_only, timeout=self._timeout)

    # ---- connections ---------------------------------------------------------------------------------------------

    def _connection(self, *, write: bool) -> Connection | None:
        """The connection of this thread; ``None`` if nothing was ever written and nothing is to be."""
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is not None and not connection.is_closed:
            return connection
        refuse_replaced(self._file)  # which for a moment is not there at all
        if not write and is_new(self._file):
            return None
        make = partial(open_rows, self._file, durable=self._durable, read_only=self._read_only)
        with naming(self._file):
            connection = self._local.connection = open_among(self._connections, make)
        return connection

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
        own_until = deadline - self._timeout + STUCK
        is_second_try = False
        while True:
            connection = None
            try:
                connection = self._connection(write=write)
                if connection is None:
                    return None
                if write and connection.read_only:
                    raise read_only(self._folder)
                if connection.look_at < time.monotonic():
                    connection.look()
                if connection.stamp and connection.stamp != stamp_of(self._file):
                    self._refuse_nested(is_nested=not connection.close())
                    continue
                is_nested = holds(connection.lock)
                with connection.lock:
                    if connection.raw.in_transaction:
                        self._refuse_nested(is_nested=is_nested)
                        connection.raw.rollback()  # of an operation that was interrupted twice
                    result = operation(connection.raw)
                    if not write or connection.raw.is_in_place():
                        return result
                self._refuse_nested(is_nested=is_nested)  # the outer operation goes over to the other file
                connection.close_replaced()  # and is done again in the file that has taken its place, or will
                if time.monotonic() > deadline:
                    raise locked(self._file, self._timeout)
            except sqlite3.ProgrammingError:
                if connection is None or not connection.is_closed:
                    raise
            except UnicodeDecodeError as error:  # in what the library says of a text that it cannot read
                raise explained(error, self._file, self._timeout) from error
            except FileNotFoundError:  # the folder was removed in the middle of opening it
                if connection is not None:
                    connection.close()
                if is_second_try:
                    raise
                is_second_try = True
            except sqlite3.Error as error:
                file = None if connection is None else connection.raw.file
                if may_pass(error) or is_stuck(error):
                    self._close_all(connection)
                is_undone = is_stuck(error) and (file is None or file != file_at(self._file))
                if (may_pass(error) or is_undone) and not is_second_try:
                    is_second_try = True
                    continue
                if not is_locked(error) or time.monotonic() > deadline:
                    raise explained(error, self._file, self._timeout, needed) from error
                self._refuse_nested(is_nested=is_in_the_midst(self._file, or_reads=time.monotonic() > own_until))
                if time.monotonic() > own_until:
                    close_idle_on(self._file)
                    own_until += STUCK
                time.sleep(NAP / 10)  # where the library does not wait by itself, as when the journal is chosen

    def _refuse_nested(self, *, is_nested: bool) -> None:
        if is_nested:
            raise in_the_midst(self._file)

    def _free(self, operation: Callable[[sqlite3.Connection], Result], *, keep: int) -> Result | None:
        """Run what makes room, which itself needs a little: of what was put by for this, all but *keep* bytes is given up."""
        tries_log = True
        while True:
            try:
                return self._run(operation, write=True)
            except StashFull:
                is_emptied = tries_log and self._is_log_emptied()
                tries_log = False
                if not (is_emptied or self._give_up_reserve(keep)):
                    raise

    def _store(self, operation: Callable[[sqlite3.Connection], Result], *, needed: int) -> Result | None:
        """Run what stores *needed* bytes, again with an empty log where there is no room beside a full one."""
        try:
            return self._run(operation, write=True, needed=needed)
        except StashFull:
            if not self._is_log_emptied():
                raise
        return self._run(operation, write=True, needed=needed)

    def _is_log_emptied(self) -> bool:
        """Whether there is more room now, since what the log holds could be brought into the database."""
        try:
            return self._run(partial(empty_log, file=self._file), write=True) or False
        except OSError:
            return False  # somebody else has taken the room that it needs

    def _give_up_reserve(self, keep: int) -> bool:
        # Else a checkpoint, which needs room for all that is in the log, would take what is given up here.
        self._run(lambda raw: raw.execute("PRAGMA wal_autocheckpoint = 0"), write=True)
        return shrink_reserve(self._file, keep)

    def _settle(self) -> None:
        """Bring what the log holds into the database and make the log empty, if nobody is in the way."""
        with contextlib.suppress(OSError):
            self._run(statements.checkpoint, write=True)

    def _close_all(self, connection: Connection | None) -> None:
        """Close *connection*, and what else this process has open on the file, since all of it shares what SQLite believes.

        A page that it has found damaged it takes for a sound one the next time, as long as it has it in memory.
        """
        if connection is not None:
            connection.close()
        close_idle_on(self._file)

    def _close_if_unsure(self, error: BaseException) -> None:
        """Neither to wait again for a lock that closing gives back, nor to ask anything of a page that was found damaged."""
        if is_given_up(error) or may_pass(error):
            self._close_all(self._local.connection)

    def get(self, address: bytes) -> bytes | None:
        try:
            connection = self._local.connection
            if connection.look_at < time.monotonic():
                connection.look()
            with connection.lock:
                row = connection.execute(GET, (address,)).fetchone()
        except (AttributeError, sqlite3.Error, UnicodeDecodeError) as error:
            self._close_if_unsure(error)
            row = self._run(lambda raw: raw.execute(GET, (address,)).fetchone(), write=False)
        return None if row is None else row[0] if type(row[0]) is bytes else as_bytes(row[0])

    def put(self, address: bytes, blob: bytes) -> None:
        try:
            connection = self._local.connection
            with connection.lock:
                if not connection.raw.in_transaction:
                    connection.execute(PUT, (address, blob))
                    if connection.raw.is_in_place():
                        return
        except (AttributeError, sqlite3.Error, UnicodeDecodeError) as error:
            self._close_if_unsure(error)  # not open yet, busy, or the long way says what is wrong
        self._store(lambda raw: raw.execute(PUT, (address, blob)), needed=len(blob))

    def put_many(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        batch: dict[bytes, bytes] = {}
        size = 0
        for address, blob in rows:
            batch[address] = blob
            size += len(blob)
            if size > BATCH_BYTES or len(batch) >= 10 * BATCH:
                self._put_batch(batch)
                batch, size = {}, 0
        if batch:
            self._put_batch(batch)

    def _put_batch(self, batch: dict[bytes, bytes]) -> None:
        rows = sorted(batch.items())
        needed = sum(len(blob) for _, blob in rows)
        self._store(lambda raw: transaction(raw, lambda raw: raw.executemany(PUT, rows)), needed=needed)

    def delete(self, address: bytes) -> bool:
        if not self.has(address):
            return False
        query = "DELETE FROM rows WHERE address = ?"
        return bool(self._free(lambda raw: raw.execute(query, (address,)).rowcount, keep=RESERVE_SIZE // 4))

    def delete_if(self, address: bytes, expected: WriteId) -> bool:
        row = address, expected
        if self._run(lambda raw: raw.execute(HAS_EXPECTED, row).fetchone(), write=False) is None:
            return False  # without writing anything
        return bool(self._free(lambda raw: raw.execute(DELETE_IF, row).rowcount, keep=RESERVE_SIZE // 4))

    def has(self, address: bytes) -> bool:
        query = "SELECT 1 FROM rows WHERE address = ?"
        return self._run(lambda raw: raw.execute(query, (address,)).fetchone(), write=False) is not None

    def peek(self, address: bytes, size: int) -> bytes | None:
        query = "SELECT substr(blob, 1, ?) FROM rows WHERE address = ?"
        row = self._run(lambda raw: raw.execute(query, (size, address)).fetchone(), write=False)
        return None if row is None else as_bytes(row[0])  # a part of nothing is NULL

    def get_many(self, addresses: Iterable[bytes]) -> Iterator[bytes | None]:
        wanted = list(addresses)
        while wanted:
            # As many as the memory for one batch holds, in one transaction: the locks are what most of a read costs.
            found = self._run(partial(statements.get_batch, addresses=wanted), write=False)
            found = [None] * len(wanted) if found is None else found
            wanted = wanted[len(found) :]
            yield from found

    def scan(self, prefix: bytes = b"") -> Iterator[bytes]:
        query = "SELECT address FROM rows WHERE address >= ? ORDER BY address LIMIT ?"
        start = prefix
        while True:
            batch = self._run(lambda raw: raw.execute(query, (start, BATCH)).fetchall(), write=False)  # noqa: B023
            for (address,) in batch or ():
                if type(address) is not bytes or address < start:
                    raise CorruptEntry(f"{self._file} is damaged: its addresses are out of order; {NEXT_STEP}")
                if not address.startswith(prefix):
                    return
                yield address
            if not batch or len(batch) < BATCH:
                return
            start = batch[-1][0] + b"\0"

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        # Not beyond what there is now: who stores a row for each one that he sees would never come to an end.
        newest = self._run(lambda raw: raw.execute("SELECT max(number) FROM rows").fetchone(), write=False)
        last, end = 0, (newest or (0,))[0] or 0
        while batch := self._run(partial(statements.rows_between, after=last, end=end), write=False):
            if batch[-1][0] <= last:
                raise CorruptEntry(f"{self._file} is damaged: its rows are out of order; {NEXT_STEP}")
            for _, address, blob in batch:
                if type(address) is bytes:
                    yield address, blob
            last = batch[-1][0]

    def swap(self, address: bytes, expected: WriteId | None, blob: bytes) -> bool:
        return bool(self._store(lambda raw: statements.swap(raw, address, expected, blob), needed=len(blob)))

    def swap_many(self, changes: Iterable[Change]) -> list[bool]:
        given = list(changes)
        swap_each = partial(statements.swap_each, changes=given)
        needed = sum(len(blob) for _, _, blob in given)
        return self._store(lambda raw: transaction(raw, swap_each), needed=needed) or []

    def clear(self) -> None:
        if is_there(self._file):
            self._free(lambda raw: transaction(raw, statements.delete_all), keep=0)
            self._is_log_emptied()
            with contextlib.suppress(OSError):  # the rows are gone; their room may be in use by a reader or a writer
                self._run(statements.vacuum_if_empty, write=True)
            self._settle()
            make_reserve(self._file)
        self.clear_sections()

    def count(self) -> int:
        return self._run(statements.count, write=False) or 0

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
            self._free(lambda raw: transaction(raw, statements.count_anew), keep=RESERVE_SIZE // 4)
            self._run(lambda raw: raw.execute("VACUUM"), write=True)
            self._settle()

    def check(self) -> list[str]:
        try:
            return self._run(statements.problems_in, write=False) or []
        except CorruptEntry as error:
            return [str(error)]

    def rebuild(self, place_of: Callable[[bytes], bytes | None]) -> bool:
        if not is_there(self._file):
            return False
        let_go = partial(close_all_on, self._file)
        with replacing(self._file), unwritten(self._file, let_go, self._timeout) as kept:
            records = records_of(kept.content(), "rows")
            columns = (record[1:] for record in records if len(record) == 3)
            found = ((bytes_of(address), blob) for address, row in columns if (blob := bytes_of(row)) is not None)
            replace_files(self._folder, _FILES, gathered(found, place_of), self._make_section)
        return True

    def sync(self) -> None:
        if is_there(self._file) and not self._read_only:
            self._run(lambda raw: raw.execute("PRAGMA wal_checkpoint(FULL)").fetchall(), write=False)

    def close(self) -> None:
        close_group(self._connections)
        super().close()


PLUGIN = SqliteEngine
