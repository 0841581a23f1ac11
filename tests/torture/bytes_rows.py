"""Rows on servers, changed behind our back: the same as for files, of which one row at a time is damaged."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, Protocol

from hashstash.errors import StashError
from torture import bytes_stores as stores
from torture.bytes_damages import MASKS, Damage
from torture.bytes_examined import Examined, Wrong
from torture.places import SERVERS, Place
from torture.report import Budget, Check, Finding


class _Rows(Protocol):
    """The raw rows of a server, by their names."""

    def snapshot(self) -> None: ...
    def restore(self) -> None: ...
    def all(self) -> dict[Any, bytes]: ...
    def put(self, name: Any, row: bytes) -> None: ...


class _RedisRows:
    def __init__(self, where: Place) -> None:
        import redis

        self.client = redis.Redis.from_url(where.options["url"])
        self.kept: dict[bytes, bytes] = {}

    def snapshot(self) -> None:
        self.kept = {name: self.client.dump(name) for name in self.client.scan_iter()}

    def restore(self) -> None:
        self.client.flushdb()
        for name, dumped in self.kept.items():
            self.client.restore(name, 0, dumped)

    def all(self) -> dict[bytes, bytes]:
        names = sorted(self.client.scan_iter(_type="string"))
        return {name: self.client.get(name) for name in names}

    def put(self, name: bytes, row: bytes) -> None:
        self.client.set(name, row)


class _MongoRows:
    def __init__(self, where: Place) -> None:
        import pymongo

        self.client = pymongo.MongoClient(where.options["url"])
        self.kept: dict[tuple[str, str], list[dict[str, Any]]] = {}

    def _collections(self) -> list[tuple[str, str]]:
        return [
            (db, name) for db in self.client.list_database_names() for name in self.client[db].list_collection_names()
        ]

    def snapshot(self) -> None:
        self.kept = {(db, name): list(self.client[db][name].find()) for db, name in self._collections()}

    def restore(self) -> None:
        for db, name in self._collections():
            self.client[db][name].delete_many({})
        for (db, name), rows in self.kept.items():
            self.client[db][name].insert_many(rows)

    def all(self) -> dict[tuple[str, str, Any], bytes]:
        return {
            (db, name, row["_id"]): row["b"]
            for (db, name), rows in sorted(self.kept.items())
            for row in sorted(rows, key=lambda row: str(row["_id"]))
            if "b" in row
        }

    def put(self, name: tuple[str, str, Any], row: bytes) -> None:
        db, collection, identity = name
        self.client[db][collection].update_one({"_id": identity}, {"$set": {"b": row}})


_MOST = {"redis": 2000, "mongo": 50}  # the stand-in for MongoDB takes a second for what Redis does in ten milliseconds
_ROWS = {"redis": _RedisRows, "mongo": _MongoRows}


def _rows_changed(where: Place, budget: Budget) -> Finding:
    if not budget.is_full and where.engine == "mongo":
        return Finding(notes=["only in full: the stand-in for MongoDB is slow"])
    finding = Finding()
    with finding.timed():
        stores.fill(where)
        rows: _Rows = _ROWS[where.engine](where)
        rows.snapshot()
        examined = Examined(where, separate=True)
        examined.warm_up_in_place()
        changes = list(_changes(rows.all()))
        random.Random(budget.seed).shuffle(changes)
        most = _MOST[where.engine]
        for name, row, what in changes[: budget(full=most, short=most // 100)]:
            rows.restore()
            rows.put(name, row)
            try:
                finding.counts[examined.tried_in_place(what)] += 1
            except (Wrong, StashError, OSError, TypeError, ValueError, AttributeError, LookupError) as error:
                finding.wrong(f"{name}, {what}: {type(error).__name__}: {error}")
        rows.restore()
    return finding


def _changes(rows: dict[Any, bytes]) -> Iterator[tuple[Any, bytes, Damage]]:
    """Every byte of each row flipped, each row cut off everywhere, and put in the place of the next one."""
    names = list(rows)
    for name, row in rows.items():
        stride = 1 if len(row) < 1000 else 17
        for at in range(0, len(row), stride):
            mask = MASKS[at % len(MASKS)]
            yield name, row[:at] + bytes([row[at] ^ mask]) + row[at + 1 :], Damage("flip", "row", at, mask)
        for size in range(0, len(row), 5 * stride):
            yield name, row[:size], Damage("cut", "row", size)
            yield name, row[:size] + bytes(len(row) - size), Damage("zero the end of", "row", size)
        yield name, row + b"garbage", Damage("append to", "row", 7)
        other = names[(names.index(name) + 1) % len(names)]
        yield name, rows[other], Damage("swap", "row", other=str(other))


ROWS: tuple[Check, ...] = (
    Check(
        "bytes_of_rows",
        _rows_changed,
        SERVERS,
        "a changed row on a server is told, by check too, and no other entry is affected",
    ),
)
