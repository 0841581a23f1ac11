"""Rows in the table of a ``SqliteDict``, which anybody who has that package can read: text keys, blobs as they are.

The package's own connection lives in a thread of its own, to which every call is sent through queues: an error there comes
up in some later call, and one while rows are fetched or committed ends the thread, after which callers wait for ever. Here
its dict works on a connection without a thread. Nothing is ever pickled: what it calls encoding is the identity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hashstash.engines._sqlite_answers import as_bytes
from hashstash.engines._sqlite_file import SqliteFileEngine
from hashstash.errors import MissingDependency
from hashstash.refusals import why_not

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

try:
    from sqlitedict import SqliteDict, identity
except ImportError as error:
    raise MissingDependency(
        "the sqlitedict engine needs the package 'sqlitedict': pip install 'hashstash[sqlite]'"
    ) from error

TABLE = "unnamed"
"""The table that ``SqliteDict(filename)`` opens when it is not told another."""


class _Connection:
    """What SqliteDict asks its connection for, answered at once and in the calling thread."""

    autocommit = True

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, query: str, values: Any = ()) -> None:
        self._connection.execute(query, values)

    def executemany(self, query: str, rows: Any) -> None:
        self._connection.executemany(query, rows)

    def select(self, query: str, values: Any = ()) -> Iterator[Any]:
        return iter(self._connection.execute(query, values).fetchall())

    def select_one(self, query: str, values: Any = ()) -> Any:
        return self._connection.execute(query, values).fetchone()

    def commit(self, blocking: bool = True) -> None:
        """Nothing: outside of a transaction of the engine, SQLite has committed each statement already."""

    def close(self, force: bool = False) -> None:
        """Nothing: the engine closes its connection."""


class _Dict(SqliteDict):  # type: ignore[misc]
    def __init__(self, path: str, connection: sqlite3.Connection) -> None:
        self._connection = connection
        super().__init__(path, TABLE, autocommit=True, encode=identity, decode=as_bytes)

    def _new_conn(self) -> _Connection:
        return _Connection(self._connection)


class SqlitedictEngine(SqliteFileEngine):
    """Rows in the file ``rows.sqlite`` of *folder*, under their addresses in hexadecimal."""

    name = "sqlitedict"
    needs_local_disk = True
    title = "SqliteDict"
    _file = "rows.sqlite"
    _table = f'"{TABLE}"'

    def __init__(self, folder: str, *, durable: bool = False) -> None:
        super().__init__(folder, durable=durable)
        self._counted: tuple[object, int] | None = None

    def _make_section(self, folder: str) -> SqlitedictEngine:
        return SqlitedictEngine(folder, durable=self._durable)

    def _wrap(self, connection: sqlite3.Connection) -> Any:
        try:
            return _Dict(self._path, connection)
        except RuntimeError as error:  # of a folder that it cannot look at, it says that there is none
            raise why_not(self._folder, error) from error

    def _prepare(self, handle: Any) -> None:
        """Nothing: opening the dict has made its table."""

    def _to_key(self, address: bytes) -> str:
        return address.hex()

    def _to_address(self, key: Any) -> bytes | None:
        try:
            address = bytes.fromhex(key)
        except (TypeError, ValueError):
            return None
        return address if address.hex() == key else None

    def _row_in(self, record: list[Any]) -> tuple[bytes | None, bytes] | None:
        if len(record) != 2 or type(record[1]) is not bytes:
            return None
        return self._to_address(record[0]), record[1]

    def get(self, address: bytes) -> bytes | None:
        try:
            return self._read(lambda rows: rows[address.hex()])
        except KeyError:
            return None

    def _store(self, handle: Any, address: bytes, blob: bytes) -> None:
        handle[address.hex()] = blob

    def _remove(self, handle: Any, address: bytes) -> bool:
        try:
            del handle[address.hex()]
        except KeyError:
            return False
        return True

    def count(self) -> int:
        """The number of rows; counted by SQLite again, over the index, only when anybody has written meanwhile."""
        return self._read(self._count) or 0

    def _count(self, rows: Any) -> int:
        stamp = (
            self._connection,
            self._connection.total_changes,
            self._connection.execute("PRAGMA data_version").fetchone(),
        )
        if self._counted is None or self._counted[0] != stamp:
            self._counted = (stamp, len(rows))
        return self._counted[1]


PLUGIN = SqlitedictEngine
