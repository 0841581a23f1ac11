"""Rows in a table that another library has made in an SQLite file: what the engines over such libraries have in common."""

from __future__ import annotations

import contextlib
import os
from abc import abstractmethod
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar

from hashstash.engine import WRITE_ID, Capability, Change, WriteId
from hashstash.engines._embedded import let_go_in
from hashstash.engines._reserve import make_reserve
from hashstash.engines._salvage import NEXT_STEP, gathered, replace_files
from hashstash.engines._sqlite_answers import as_bytes
from hashstash.engines._sqlite_connections import PATIENCE, replacing
from hashstash.engines._sqlite_handle import LOG_PAGES, SqliteHandleEngine
from hashstash.engines._sqlite_opening import RESERVE_SIZE, log_pages
from hashstash.engines._sqlite_pages import records_of
from hashstash.engines._sqlite_replaced import unwritten
from hashstash.engines._sqlite_statements import checkpoint
from hashstash.errors import CorruptEntry, StashLocked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_BATCH = 1000
_BATCH_OF_ROWS = 100
_KEPT = RESERVE_SIZE // 4


class SqliteFileEngine(SqliteHandleEngine):
    """Rows in the table *_table* of the SQLite file *_file*, opened by another library."""

    capabilities = (
        Capability.CROSS_PROCESS
        | Capability.SWAP
        | Capability.PREFIX_SCAN
        | Capability.LOCAL_FILES
        | Capability.SHARED_WRITERS
    )
    _table: ClassVar[str]
    _also: ClassVar[str] = ""
    """What a query for a key has to ask for beside the key, as SQL."""

    def _sql(self, start: str, rest: str) -> str:
        """A query of the table, which cannot be a parameter of it."""
        return f"{start} FROM {self._table} WHERE {rest}{self._also}"

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

    def put(self, address: bytes, blob: bytes) -> None:
        self._storing(lambda handle: self._store(handle, address, bytes(blob)), needed=len(blob))

    def put_many(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        items = iter([(address, bytes(blob)) for address, blob in rows])
        while batch := list(islice(items, 50 * _BATCH)):
            self._put_batch(batch)

    def _put_batch(self, rows: list[tuple[bytes, bytes]]) -> None:
        def write(handle: Any) -> None:
            for address, blob in rows:
                self._store(handle, address, blob)

        self._storing(write, needed=sum(len(blob) for _, blob in rows))

    def delete(self, address: bytes) -> bool:
        if not self.has(address):
            return False
        return self._freeing(lambda: self._transaction(lambda handle: self._remove(handle, address)), keep=_KEPT)

    def delete_if(self, address: bytes, expected: WriteId) -> bool:
        def remove(handle: Any) -> bool:
            return self._write_id(address) == expected and self._remove(handle, address)

        if self._read(lambda _: self._write_id(address)) != expected:
            return False  # without writing anything
        return self._freeing(lambda: self._transaction(remove), keep=_KEPT)

    def _write_id(self, address: bytes) -> WriteId | None:
        # A number is written by SQLite with other digits than it is read with.
        part = f"CASE typeof(value) WHEN 'blob' THEN substr(value, 1, {WRITE_ID.stop}) ELSE value END"
        found = self._select(f"SELECT {part}", address)
        return as_bytes(found[0])[WRITE_ID] if found else None

    def swap(self, address: bytes, expected: WriteId | None, blob: bytes) -> bool:
        return self.swap_many([(address, expected, blob)])[0]

    def swap_many(self, changes: Iterable[Change]) -> list[bool]:
        given = list(changes)

        def write(handle: Any) -> list[bool]:
            stored = []
            for address, expected, blob in given:
                stored.append(self._write_id(address) == expected)
                if stored[-1]:
                    self._store(handle, address, bytes(blob))
            return stored

        return self._storing(write, needed=sum(len(blob) for _, _, blob in given)) if given else []

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
            self._freeing(lambda: self._transaction(self._remove_all), keep=0)
            self._has_made_room()
            with contextlib.suppress(OSError):  # the rows are gone; their room may be in use by a reader or a writer
                self._freeing(self.compact, keep=0)
            make_reserve(self._folder, self._reserve_size)

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
            self._write(lambda _: checkpoint(self._connection, log_pages=log_pages(self._path, LOG_PAGES)))

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
        with self._turn, replacing(self._path):
            if not os.path.exists(self._path):
                return False
            with unwritten(self._path, self._close_here, PATIENCE) as kept:
                records = records_of(kept.content(), self._table.strip('"'))
                rows = (row for record in records if (row := self._row_in(record)) is not None)
                names = [self._file + ending for ending in ("", "-wal", "-shm", "-journal")]
                replace_files(self._folder, names, gathered(rows, place_of), self._make_section)
        return True

    def _close_here(self) -> None:
        """Have all of this process close the file; StashLocked if a thread does not come to an end with it."""
        if not let_go_in(self._folder, patience=PATIENCE):
            text = f"another thread has been using {self._path} for {PATIENCE:g} seconds"
            raise StashLocked(f"{text}; try again when it is done")

    @abstractmethod
    def _make_section(self, folder: str) -> SqliteFileEngine:
        """An engine like this one in another folder."""

    def sync(self) -> None:
        if self._read(lambda _: True) and self._stamp is None:
            self._write(lambda _: self._connection.execute("PRAGMA wal_checkpoint(FULL)").fetchall())
