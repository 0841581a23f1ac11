"""Rows in the database of a ``diskcache.Cache`` that neither evicts, nor unpickles, nor follows what a stranger's rows say.

A cache of that package deletes the oldest rows beyond a size, unpickles what rows mark as pickled, reads and deletes the
files that they name, and takes its own attributes from a table. Here nothing is evicted, keys and values are bytes that lie
in the database, so that a row is replaced in one transaction, and settings are the ones below, whatever is stored.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from typing import TYPE_CHECKING, Any

from hashstash.engines._salvage import NEXT_STEP
from hashstash.engines._sqlite_answers import as_bytes, is_locked
from hashstash.engines._sqlite_connections import STUCK
from hashstash.engines._sqlite_file import SqliteFileEngine
from hashstash.errors import CorruptEntry, MissingDependency, UnsafeName

if TYPE_CHECKING:
    from collections.abc import Callable

try:
    from diskcache import Cache, Disk
    from diskcache.core import DBNAME, DEFAULT_SETTINGS, ENOVAL, METADATA, MODE_RAW, UNKNOWN
except ImportError as error:
    raise MissingDependency(
        "the diskcache engine needs the package 'diskcache': pip install 'hashstash[diskcache]'"
    ) from error

SETTINGS = {
    **DEFAULT_SETTINGS,
    "eviction_policy": "none",
    "cull_limit": 0,
    "sqlite_auto_vacuum": 0,  # freed pages are used again; moving them at each delete costs more than it saves
    "sqlite_mmap_size": 0,  # reading a mapped file that somebody cuts off would kill the interpreter
}
"""What our caches run with, whatever the database says."""

_COLUMNS = 12
_SCHEMA = {
    "Cache",
    "Settings",
    "Cache_key_raw",
    "Cache_expire_time",
    *(f"Settings_{name}" for name in ("count_insert", "count_delete", "size_insert", "size_update", "size_delete")),
}


class _BytesDisk(Disk):  # type: ignore[misc]
    """Keys and values are bytes in the database: nothing is pickled or unpickled, and no file is read or removed."""

    def __init__(self, directory: str, **_: Any) -> None:
        super().__init__(directory)

    def put(self, key: bytes) -> tuple[bytes, bool]:
        return key, True

    def get(self, key: Any, raw: bool) -> bytes:
        return as_bytes(key)

    def store(self, value: bytes, read: bool, key: Any = UNKNOWN) -> tuple[int, int, None, bytes]:
        return 0, MODE_RAW, None, value

    def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> bytes:
        return as_bytes(value)

    def remove(self, file_path: str) -> None:
        """Nothing: rows of ours have no files, and what others' rows name might be anybody's."""


class _StaysLocked(sqlite3.OperationalError):
    """That the database is locked, in other words than those after which the package tries again for a minute."""

    def __init__(self, error: sqlite3.OperationalError) -> None:
        super().__init__("the database stays locked")
        self.sqlite_errorcode = error.sqlite_errorcode


class _Cache(Cache):  # type: ignore[misc]
    """A cache on a connection that the engine opens and closes; :meth:`prepare` does what writing needs."""

    def __init__(self, folder: str, connection: sqlite3.Connection, settings: dict[str, Any]) -> None:
        self._connection = connection
        self._fixed = settings
        self._directory = folder
        self._timeout = 0
        self._local = threading.local()
        self._txn_id = None
        self._disk = _BytesDisk(folder)
        self._is_preparing = False
        self._locked_since = 0.0
        for name, value in self._fixed.items():
            setattr(self, name, value)

    def prepare(self) -> None:
        """Make tables, triggers and settings, unless all of them are there: the package writes them at each opening."""
        if self._is_prepared():
            return
        folder = self._directory
        if os.path.expandvars(folder) != folder:
            raise UnsafeName(f"diskcache takes a part of {folder!r} for a variable; choose a folder without $")
        self._is_preparing = True
        try:
            super().__init__(folder, timeout=0, disk=_BytesDisk, **self._fixed)
        except (TypeError, ValueError) as error:  # of settings that are none of the package's
            raise CorruptEntry(f"the settings in {folder} are damaged ({error}); {NEXT_STEP}") from error
        finally:
            self._is_preparing = False

    def _is_prepared(self) -> bool:
        execute = self._connection.execute
        names = {name for (name,) in execute("SELECT name FROM sqlite_master WHERE tbl_name IN ('Cache', 'Settings')")}
        if not names >= _SCHEMA:
            return False
        stored = dict(execute("SELECT key, value FROM Settings"))
        return stored.keys() >= METADATA.keys() and stored.items() >= self._fixed.items()

    @property
    def _con(self) -> sqlite3.Connection:
        return self._connection

    @property
    def _sql(self) -> Callable[..., sqlite3.Cursor]:
        return self._execute if self._is_preparing else self._connection.execute

    def _execute(self, *arguments: Any) -> sqlite3.Cursor:
        """Leave it to the engine to wait for a lock that may be one which this process keeps by mistake: it gives that back."""
        try:
            found = self._connection.execute(*arguments)
        except sqlite3.OperationalError as error:
            if not is_locked(error):
                raise
            now = time.monotonic()
            self._locked_since = self._locked_since or now
            if now - self._locked_since < STUCK:
                raise
            raise _StaysLocked(error) from error
        self._locked_since = 0.0
        return found

    def reset(self, key: str, value: Any = ENOVAL, update: bool = True) -> Any:
        """As the package does, but only for settings that it has, and with our values of them."""
        if key in METADATA:
            return super().reset(key, value, update)
        if key in self._fixed:
            return super().reset(key, self._fixed[key], update)
        return None

    def close(self) -> None:
        """Nothing: the engine closes its connection."""


class DiskcacheEngine(SqliteFileEngine):
    """Rows in ``cache.db`` of *folder*, under their addresses as they are."""

    name = "diskcache"
    needs_local_disk = True
    title = "DiskCache"
    _file = DBNAME
    _table = "Cache"
    _also = " AND raw = 1"
    _made_first = frozenset({"Settings", "sqlite_autoindex_Settings_1"})
    _own_triggers = (
        r"CREATE TRIGGER Settings_\w+ AFTER (INSERT|UPDATE|DELETE) ON Cache FOR EACH ROW BEGIN UPDATE Settings"
        r" SET value = value [+-] (1|NEW\.size|OLD\.size|NEW\.size - OLD\.size) WHERE key = \"(count|size)\"; END"
    )

    def _make_section(self, folder: str) -> DiskcacheEngine:
        return DiskcacheEngine(folder, durable=self._durable)

    def _wrap(self, connection: sqlite3.Connection) -> Any:
        return _Cache(
            self._folder,
            connection,
            {**SETTINGS, "sqlite_journal_mode": self._journal(), "sqlite_synchronous": 2 if self._durable else 1},
        )

    def _prepare(self, handle: _Cache) -> None:
        handle.prepare()

    def _to_key(self, address: bytes) -> bytes:
        return address

    def _to_address(self, key: Any) -> bytes | None:
        return key if isinstance(key, bytes) else None

    def _row_in(self, record: list[Any]) -> tuple[bytes | None, bytes] | None:
        if len(record) != _COLUMNS or type(record[-1]) is not bytes:
            return None
        return self._to_address(record[1]), record[-1]

    def _begin(self, handle: Any) -> None:
        super()._begin(handle)
        # The cache would begin and end a transaction of its own, and calls whatever goes wrong there a timeout.
        handle._txn_id = threading.get_ident()  # noqa: SLF001

    def get(self, address: bytes) -> bytes | None:
        return self._read(lambda cache: cache.get(address))

    def _store(self, handle: Any, address: bytes, blob: bytes) -> None:
        handle.set(address, blob)

    def _remove(self, handle: Any, address: bytes) -> bool:
        return bool(handle.delete(address))

    def _remove_all(self, handle: Any) -> None:
        super()._remove_all(handle)
        self._connection.execute("UPDATE Settings SET value = 0 WHERE key IN ('count', 'size')")

    def count(self) -> int:
        try:
            return int(self._read(len) or 0)
        except (TypeError, ValueError):  # somebody has put something else in the place of the number
            query = "SELECT COUNT(*) FROM Cache"
            return int((self._read(lambda _: self._connection.execute(query).fetchone()) or (0,))[0])


PLUGIN = DiskcacheEngine
