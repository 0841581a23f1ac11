"""Files of ``dbm.gnu`` and ``dbm.sqlite3`` behind the questions that an engine asks of an open file."""

from __future__ import annotations

import errno
import importlib
import os
import sqlite3
from typing import Any

from hashstash.engines._sqlite_answers import as_bytes
from hashstash.engines._sqlite_connections import refuse_programs, uri
from hashstash.engines._sqlite_opening import log_pages

_SLACK = 512 * 1024
_LOG_PAGES = 1000


class _Mapping:
    """A file of ``dbm.gnu`` or ``dbm.sqlite3``."""

    def __init__(self, rows: Any, *, write: bool) -> None:
        self.is_for_writing = write
        self._rows = rows

    def __contains__(self, address: bytes) -> bool:
        return address in self._rows

    def __len__(self) -> int:
        return len(self._rows)

    def is_current(self) -> bool:
        return True

    def refresh(self) -> None:
        """Nothing: what others have written is there."""

    def addresses(self) -> list[bytes]:
        return list(self._rows.keys())

    def get(self, address: bytes) -> bytes | None:
        blob = self._rows.get(address)
        return None if blob is None else as_bytes(blob)

    def put(self, address: bytes, blob: bytes) -> None:
        self._rows[address] = blob

    def remove(self, address: bytes) -> None:
        del self._rows[address]

    def save(self, *, durable: bool) -> None:
        """Nothing, but for what has to survive a power loss: each change was written at once."""
        if durable:
            self.sync()

    def clear(self) -> None:
        for address in self.addresses():
            del self._rows[address]

    def compact(self) -> None:
        self._rows.reorganize()

    def sync(self) -> None:
        self._rows.sync()

    def close(self) -> None:
        self._rows.close()


class GnuFile(_Mapping):
    """A file of ``dbm.gnu``, which keeps parts of it in memory."""

    def __init__(self, path: str, *, write: bool) -> None:
        self._path = path
        # "u": its own lock would let nobody write as long as anybody has it open.
        super().__init__(importlib.import_module("dbm.gnu").open(path, "cu" if write else "ru", 0o600), write=write)

    def is_current(self) -> bool:
        return False

    def put(self, address: bytes, blob: bytes) -> None:
        # The library loses rows that it has when it finds the disk full in the middle of a change.
        status = os.statvfs(self._path)
        if status.f_bavail * status.f_frsize < len(blob) + _SLACK:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._path)
        super().put(address, blob)

    def size_bytes(self) -> int:
        return os.path.getsize(self._path)


class SqliteFile(_Mapping):
    """A file of ``dbm.sqlite3``, in one transaction per change, whichever thread asks."""

    def __init__(self, path: str, *, write: bool) -> None:
        self._path, self._inode = path, os.stat(path).st_ino
        mode = "rw" if write else "ro"
        if not write and not os.path.exists(path + "-wal"):
            mode += "&immutable=1"  # the lock keeps writers away, and in this folder nothing can be made
        self._connection = sqlite3.connect(
            uri(path, f"mode={mode}"), uri=True, isolation_level=None, check_same_thread=False
        )
        try:
            self._connection.execute("PRAGMA trusted_schema = OFF")
            self._connection.execute("PRAGMA secure_delete = OFF")
            refuse_programs(self._connection, path)
            if write:
                self._connection.execute("PRAGMA journal_mode = WAL")
                self._connection.execute("PRAGMA synchronous = NORMAL")
                self._connection.execute(f"PRAGMA wal_autocheckpoint = {log_pages(path, _LOG_PAGES)}")
                self._connection.execute(
                    "CREATE TABLE IF NOT EXISTS Dict (key BLOB UNIQUE NOT NULL, value BLOB NOT NULL)"
                )
            super().__init__(_over(self._connection), write=write)
        except BaseException:
            self._connection.close()
            raise

    def _begin(self) -> None:
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN IMMEDIATE")

    def is_current(self) -> bool:
        try:
            return self.is_for_writing and os.stat(self._path).st_ino == self._inode
        except FileNotFoundError:
            return False

    def addresses(self) -> list[bytes]:
        return [key for key in super().addresses() if isinstance(key, bytes)]

    def put(self, address: bytes, blob: bytes) -> None:
        self._begin()
        super().put(address, blob)

    def remove(self, address: bytes) -> None:
        self._begin()
        super().remove(address)

    def save(self, *, durable: bool) -> None:
        if self._connection.in_transaction:
            self._connection.execute("COMMIT")
        super().save(durable=durable)

    def clear(self) -> None:
        # On a full disk, bringing the log into the file would take the room that this needs; compacting does it afterwards.
        self._connection.execute("PRAGMA wal_autocheckpoint = 0")
        self._begin()
        self._connection.execute("DELETE FROM Dict")

    def compact(self) -> None:
        self._connection.execute("VACUUM")
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._connection.execute(f"PRAGMA wal_autocheckpoint = {log_pages(self._path, _LOG_PAGES)}")

    def size_bytes(self) -> int:
        pages, free, size = (
            self._connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def sync(self) -> None:
        self._connection.execute("PRAGMA wal_checkpoint(FULL)").fetchall()

    def close(self) -> None:
        self._connection.close()


def _over(connection: sqlite3.Connection) -> Any:
    """The module's mapping on a connection of ours: its own answers one thread only, and waits for nobody."""
    mapping = importlib.import_module("dbm.sqlite3")._Database  # noqa: SLF001

    class Rows(mapping):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            self._cx = connection

    return Rows()
