"""The tables of the sqlite engine, and what is asked of them on an open connection.

Rows have numbers beside their addresses, rather than lying in the tree of the addresses: measured at 300 bytes, this stores new
rows in four fifths of the time and reads as fast. Triggers keep the number of rows, which costs a tenth of a new row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashstash.engine import WRITE_ID
from hashstash.engines._sqlite_answers import as_bytes
from hashstash.engines._sqlite_connections import transaction

if TYPE_CHECKING:
    import sqlite3

    from hashstash.engine import Change

BATCH = 1000
BATCH_BYTES = 8 << 20
LOG_PAGES = 4000  # 16 MB: what a checkpoint syncs is shared by more writes, and one block of the log's index covers it
_APPLICATION = 0x48535448  # "HSTH"

_ADD = "CREATE TRIGGER added AFTER INSERT ON rows BEGIN UPDATE counter SET rows = rows + 1; END"
_REMOVE = "CREATE TRIGGER removed AFTER DELETE ON rows BEGIN UPDATE counter SET rows = rows - 1; END"
SCHEMA = (
    "CREATE TABLE rows (number INTEGER PRIMARY KEY, address BLOB NOT NULL UNIQUE, blob BLOB NOT NULL)",
    "CREATE TABLE counter (rows INTEGER NOT NULL)",
    _ADD,
    _REMOVE,
)
GET = "SELECT blob FROM rows WHERE address = ?"
PUT = "INSERT INTO rows (address, blob) VALUES (?, ?) ON CONFLICT (address) DO UPDATE SET blob = excluded.blob"
PUT_IF_ABSENT = "INSERT INTO rows (address, blob) VALUES (?, ?) ON CONFLICT (address) DO NOTHING"
# What is no blob was not written by us, but by damage, and has no write id.
_IS_EXPECTED = f"address = ?1 AND (typeof(blob) <> 'blob' OR coalesce(substr(blob, {WRITE_ID.start + 1}, 8), x'') = ?2)"
SWAP = f"UPDATE rows SET blob = ?3 WHERE {_IS_EXPECTED}"  # noqa: S608
DELETE_IF = f"DELETE FROM rows WHERE {_IS_EXPECTED}"  # noqa: S608
HAS_EXPECTED = f"SELECT 1 FROM rows WHERE {_IS_EXPECTED}"  # noqa: S608


def make_tables(raw: sqlite3.Connection) -> None:
    """Make the tables, unless another process was faster."""
    if raw.execute("SELECT 1 FROM sqlite_schema").fetchone() is None:
        for statement in SCHEMA:
            raw.execute(statement)
        raw.execute("INSERT INTO counter VALUES (0)")
        raw.execute(f"PRAGMA application_id = {_APPLICATION}")


def swap(raw: sqlite3.Connection, address: bytes, expected: bytes | None, blob: bytes) -> bool:
    """Store *blob* if the row is the *expected* one; whether it was."""
    if expected is None:
        return raw.execute(PUT_IF_ABSENT, (address, blob)).rowcount > 0
    return raw.execute(SWAP, (address, expected, blob)).rowcount > 0


def swap_each(raw: sqlite3.Connection, *, changes: list[Change]) -> list[bool]:
    """:func:`swap` for each of *changes*."""
    return [swap(raw, *change) for change in changes]


def get_batch(raw: sqlite3.Connection, *, addresses: list[bytes]) -> list[bytes | None]:
    """The blobs at the first *addresses*, as many as the memory for one batch holds."""
    found: list[bytes | None] = []

    def get(raw: sqlite3.Connection) -> None:
        size = 0
        for address in addresses[:BATCH]:
            row = raw.execute(GET, (address,)).fetchone()
            found.append(None if row is None else as_bytes(row[0]))
            size += len(found[-1] or b"")
            if size > BATCH_BYTES:
                return

    transaction(raw, get, kind="DEFERRED")
    return found


def rows_between(raw: sqlite3.Connection, *, after: int, end: int) -> list[tuple[int, bytes, bytes]]:
    """The next rows by number, as many as the memory for one batch holds."""
    query = "SELECT number, address, blob FROM rows WHERE number > ? AND number <= ? ORDER BY number LIMIT ?"
    cursor = raw.execute(query, (after, end, BATCH))
    batch: list[tuple[int, bytes, bytes]] = []
    size = 0
    try:
        for number, address, blob in cursor:
            batch.append((number, address, as_bytes(blob)))
            size += len(batch[-1][2])
            if size > BATCH_BYTES:
                break
    finally:
        cursor.close()
    return batch


def delete_all(raw: sqlite3.Connection) -> None:
    """Without the trigger, which would visit every row, the library drops whole pages and writes next to nothing."""
    raw.execute("DROP TRIGGER removed")
    raw.execute("DELETE FROM rows")
    raw.execute("UPDATE counter SET rows = 0")
    raw.execute(_REMOVE)


def vacuum_if_empty(raw: sqlite3.Connection) -> None:
    """Give the room of removed rows back, if no row is left."""
    if raw.execute("SELECT 1 FROM rows LIMIT 1").fetchone() is None:
        raw.execute("VACUUM")


def checkpoint(raw: sqlite3.Connection, *, log_pages: int = LOG_PAGES, cuts: bool = True) -> bool:
    """Bring what the log holds into the database, and make the log empty; whether nobody was in the way of that.

    From then on it is done again whenever the log has *log_pages*. *cuts*: the room of the log is given back.
    """
    is_busy, _, _ = raw.execute(f"PRAGMA wal_checkpoint({'TRUNCATE' if cuts else 'RESTART'})").fetchone()
    raw.execute(f"PRAGMA wal_autocheckpoint = {log_pages}")
    return not is_busy


def count(raw: sqlite3.Connection) -> int:
    """How many rows there are: by the counter, or by looking at them where that holds no such number."""
    row = raw.execute("SELECT rows FROM counter").fetchone()
    if row is not None and type(row[0]) is int and row[0] >= 0:
        return row[0]
    return int(raw.execute("SELECT count(*) FROM rows").fetchone()[0])


def count_anew(raw: sqlite3.Connection) -> None:
    """Count the rows, whatever was counted."""
    raw.execute("DELETE FROM counter")
    raw.execute("INSERT INTO counter SELECT count(*) FROM rows")


def problems_in(raw: sqlite3.Connection) -> list[str]:
    """What SQLite finds wrong with the whole, and with the number of rows."""
    found = [str(text) for (text,) in raw.execute("PRAGMA integrity_check(20)") if text != "ok"]
    if not found:
        counted, real = raw.execute("SELECT (SELECT rows FROM counter), (SELECT count(*) FROM rows)").fetchone()
        if counted != real:
            found.append(f"the database counts {counted!r:.40} rows and has {real}; compact() counts them anew")
    return found
