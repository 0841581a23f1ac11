"""What a stranger can write into a database of SQLite that an engine keeps its rows in."""

from __future__ import annotations

import pickle
import sqlite3
from collections.abc import Callable
from pathlib import Path

from torture.hostile.pickles import Runs

ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)"


def _sql(*statements: str, file: str) -> Callable[[Path, str], None]:
    def attack(folder: Path, mark: str) -> None:
        connection = sqlite3.connect(folder / file, isolation_level=None)
        connection.execute("PRAGMA journal_mode = delete").fetchall()
        evil = pickle.dumps(Runs(mark))
        for statement in statements:
            connection.execute(statement, {"evil": evil} if ":evil" in statement else {})
        connection.close()

    return attack


def sqlite_attacks(file: str, table: str, key: str, value: str) -> dict[str, Callable[[Path, str], None]]:
    """For whatever keeps rows in a table."""

    def sql(*statements: str) -> Callable[[Path, str], None]:
        return _sql(*statements, file=file)

    rename = f"ALTER TABLE {table} RENAME TO was"
    return {
        "pickles": sql(f"UPDATE {table} SET {value} = :evil"),
        "text": sql(f"UPDATE {table} SET {value} = 'text'"),
        "numbers": sql(f"UPDATE {table} SET {value} = 17"),
        "floats": sql(f"UPDATE {table} SET {value} = 1e999"),
        "empty": sql(f"UPDATE {table} SET {value} = x''"),
        "zeros": sql(f"UPDATE {table} SET {value} = zeroblob(50000000) WHERE rowid = (SELECT max(rowid) FROM {table})"),
        "keys of text": sql(f"UPDATE OR IGNORE {table} SET {key} = 'a' || rowid"),
        "keys of numbers": sql(f"UPDATE OR IGNORE {table} SET {key} = rowid"),
        "long keys": sql(f"UPDATE OR IGNORE {table} SET {key} = CAST(zeroblob(100000) || rowid AS BLOB)"),
        "a trigger that deletes": sql(f"CREATE TRIGGER t AFTER INSERT ON {table} BEGIN DELETE FROM {table}; END"),
        "an endless trigger": sql(
            f"CREATE TRIGGER t AFTER INSERT ON {table} BEGIN DELETE FROM {table} WHERE {key} IN ({ENDLESS} SELECT x FROM c); END"
        ),
        "an endless trigger of updates": sql(
            f"CREATE TRIGGER t AFTER UPDATE ON {table} BEGIN DELETE FROM {table} WHERE {key} IN ({ENDLESS} SELECT x FROM c); END"
        ),
        "a view in its place": sql(rename, f"CREATE VIEW {table} AS SELECT * FROM was"),
        "an endless view in its place": sql(
            rename, f"CREATE VIEW {table} AS {ENDLESS} SELECT x AS {key}, x AS {value}, x AS raw FROM c"
        ),
        "generated columns": sql(rename, f"CREATE TABLE {table} ({key} BLOB, {value} AS (zeroblob(100000000)))"),
        "a virtual table": sql(rename, f"CREATE VIRTUAL TABLE {table} USING fts5({key}, {value})"),
        "an expression index": sql(f"CREATE INDEX i ON {table} (abs({key}))"),
        "a check": sql(rename, f"CREATE TABLE {table} ({key} BLOB UNIQUE, {value} BLOB, CHECK (length({value}) < 3))"),
        "a default that loads": sql(f"CREATE TABLE more (a DEFAULT (load_extension('{file}')))"),
        "odd numbers": sql("PRAGMA user_version = 77", "PRAGMA application_id = 12345"),
        "nothing left": sql(f"DROP TABLE {table}"),
        "another encoding": lambda folder, mark: _other_encoding(folder / file, table, key, value),
        "damaged schema": sql(
            "PRAGMA writable_schema = ON", "UPDATE sqlite_schema SET sql = 'CREATE TABLE ' || hex(zeroblob(9999))"
        ),
    }


def _other_encoding(path: Path, table: str, key: str, value: str) -> None:
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA encoding = 'UTF-16'")
    connection.execute(f"CREATE TABLE {table} ({key} TEXT, {value} TEXT)")
    connection.execute(f"INSERT INTO {table} VALUES ('a', 'b')")
    connection.commit()
    connection.close()


def diskcache_attacks() -> dict[str, Callable[[Path, str], None]]:
    def sql(*statements: str) -> Callable[[Path, str], None]:
        return _sql(*statements, file="cache.db")

    return {
        **sqlite_attacks("cache.db", "Cache", "key", "value"),
        "mode pickle": sql("UPDATE Cache SET value = :evil, mode = 4"),
        "mode text": sql("UPDATE Cache SET mode = 3, filename = '../../../../etc/passwd', value = NULL"),
        "mode file": sql("UPDATE Cache SET mode = 2, filename = '/etc/passwd', value = NULL"),
        "pickled keys": sql("UPDATE OR IGNORE Cache SET key = :evil, raw = 0"),
        "tags and times": sql("UPDATE Cache SET tag = :evil, expire_time = 1, store_time = 'x', access_count = 'y'"),
        "settings": sql(
            "INSERT OR REPLACE INTO Settings VALUES ('disk', 'zq_canary_module.fire')",
            "INSERT OR REPLACE INTO Settings VALUES ('disk_pickle_protocol', :evil)",
            "INSERT OR REPLACE INTO Settings VALUES ('_disk', :evil)",
            "INSERT OR REPLACE INTO Settings VALUES ('eviction_policy', 'zq_canary_module')",
            "INSERT OR REPLACE INTO Settings VALUES ('sqlite_journal_mode', 'off; ATTACH DATABASE ''x'' AS y')",
            "INSERT OR REPLACE INTO Settings VALUES ('count', :evil)",
            "INSERT OR REPLACE INTO Settings VALUES ('__class__', 'x')",
            "INSERT OR REPLACE INTO Settings VALUES ('_con', 'x')",
        ),
        "no settings": sql("DELETE FROM Settings"),
    }
