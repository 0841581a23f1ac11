"""The libraries underneath the engines, used by hand with pickle: what an engine of ours may be compared with."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any

from benchmarks.systems import DiskCache, RawLmdb, System


class RawDict(System):
    """A dict of pickles: what a copy in and a copy out cost."""

    name = "dict + pickle"

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self._rows: dict[str, bytes] = {}

    def get(self, key: Any) -> Any:
        return pickle.loads(self._rows[key])

    def miss(self, key: Any) -> Any:
        return self._rows.get(key)

    def set(self, key: Any, value: Any) -> None:
        self._rows[key] = pickle.dumps(value, 5)

    def set_many(self, items: Iterable[tuple[Any, Any]]) -> None:
        for key, value in items:
            self.set(key, value)

    def count(self) -> int:
        return len(self._rows)

    def items(self) -> Iterator[tuple[Any, Any]]:
        for key, data in self._rows.items():
            yield key, pickle.loads(data)


class RawFiles(System):
    """One pickle per file in 256 folders, written beside and renamed, as one must for readers never to see half of one."""

    name = "files + pickle"

    def _path(self, key: Any) -> str:
        name = hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
        return os.path.join(self.folder, name[:2], name)

    def get(self, key: Any) -> Any:
        with open(self._path(key), "rb") as file:
            return pickle.load(file)[1]

    def miss(self, key: Any) -> Any:
        with contextlib.suppress(FileNotFoundError):
            return self.get(key)
        return None

    def set(self, key: Any, value: Any) -> None:
        path = self._path(key)
        draft = os.path.join(self.folder, f"draft.{os.getpid()}")
        with open(draft, "wb") as file:
            pickle.dump((key, value), file, 5)
        try:
            os.replace(draft, path)
        except FileNotFoundError:
            os.mkdir(os.path.dirname(path))
            os.replace(draft, path)

    def set_many(self, items: Iterable[tuple[Any, Any]]) -> None:
        for key, value in items:
            self.set(key, value)

    def count(self) -> int:
        return sum(len(files) for _, _, files in os.walk(self.folder))

    def items(self) -> Iterator[tuple[Any, Any]]:
        for folder, _, names in os.walk(self.folder):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    yield pickle.load(file)


class RawSqlite(System):
    """The standard library's sqlite3 with a write-ahead log, one transaction for each set."""

    name = "sqlite3 + pickle"

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self._connection = sqlite3.connect(os.path.join(folder, "rows.sqlite"), isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.execute("CREATE TABLE rows (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID")

    def get(self, key: Any) -> Any:
        row = self._connection.execute("SELECT value FROM rows WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise KeyError(key)
        return pickle.loads(row[0])

    def miss(self, key: Any) -> Any:
        return self._connection.execute("SELECT value FROM rows WHERE key = ?", (key,)).fetchone()

    def set(self, key: Any, value: Any) -> None:
        self._connection.execute("INSERT OR REPLACE INTO rows VALUES (?, ?)", (key, pickle.dumps(value, 5)))

    def set_many(self, items: Iterable[tuple[Any, Any]]) -> None:
        rows = ((key, pickle.dumps(value, 5)) for key, value in items)
        self._connection.execute("BEGIN")
        self._connection.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?)", rows)
        self._connection.execute("COMMIT")

    def count(self) -> int:
        return int(self._connection.execute("SELECT COUNT(*) FROM rows").fetchone()[0])

    def items(self) -> Iterator[tuple[Any, Any]]:
        for key, data in self._connection.execute("SELECT key, value FROM rows"):
            yield key, pickle.loads(data)


class Mapping(System):
    """What sqlitedict, shelve and pickledb have in common: a mapping that pickles by itself."""

    def _open(self) -> Any:
        raise NotImplementedError

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self._rows = self._open()

    def get(self, key: Any) -> Any:
        return self._rows[key]

    def miss(self, key: Any) -> Any:
        return self._rows.get(key)

    def set(self, key: Any, value: Any) -> None:
        self._rows[key] = value

    def set_many(self, items: Iterable[tuple[Any, Any]]) -> None:
        self._rows.update(items)

    def count(self) -> int:
        return len(self._rows)

    def items(self) -> Iterator[tuple[Any, Any]]:
        return iter(self._rows.items())


class RawSqliteDict(Mapping):
    name = "sqlitedict"

    def _open(self) -> Any:
        import sqlitedict  # type: ignore[import-untyped]

        path = os.path.join(self.folder, "rows.sqlite")
        return sqlitedict.SqliteDict(path, autocommit=True, journal_mode="WAL")


class RawShelve(Mapping):
    """shelve, brought to the disk after each set: without that a killed process loses what it wrote."""

    name = "shelve"

    def _open(self) -> Any:
        import shelve

        return shelve.open(os.path.join(self.folder, "rows"), protocol=5)

    def set(self, key: Any, value: Any) -> None:
        self._rows[key] = value
        self._rows.sync()


class RawPickleDb(System):
    """pickledb, saved after each set: it holds everything in memory and writes it whole. It knows text only."""

    name = "pickledb"

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        from pickledb import PickleDB  # type: ignore[import-untyped]

        self._rows = PickleDB(os.path.join(folder, "rows.json"))

    def get(self, key: Any) -> Any:
        return self._rows.get(key)

    def miss(self, key: Any) -> Any:
        return self._rows.get(key)

    def set(self, key: Any, value: Any) -> None:
        self._rows.set(key, value)
        self._rows.save()

    def set_many(self, items: Iterable[tuple[Any, Any]]) -> None:
        for key, value in items:
            self._rows.set(key, value)
        self._rows.save()

    def count(self) -> int:
        return len(self._rows.all())

    def items(self) -> Iterator[tuple[Any, Any]]:
        for key in self._rows.all():
            yield key, self._rows.get(key)


class RawRedis(System):
    """redis-py with pickle, one hash for all, so that it too can count and list its own."""

    name = "redis-py + pickle"

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        import redis

        self._client: Any = redis.Redis.from_url(os.environ["HASHSTASH_BENCH_REDIS_URL"])
        self._name = f"bench:{folder}:"

    def get(self, key: Any) -> Any:
        return pickle.loads(self._client.get(self._name + key))

    def miss(self, key: Any) -> Any:
        return self._client.get(self._name + key)

    def set(self, key: Any, value: Any) -> None:
        self._client.set(self._name + key, pickle.dumps(value, 5))

    def set_many(self, items: Iterable[tuple[Any, Any]]) -> None:
        with self._client.pipeline(transaction=False) as pipeline:
            for key, value in items:
                pipeline.set(self._name + key, pickle.dumps(value, 5))
            pipeline.execute()

    def count(self) -> int:
        return sum(1 for _ in self._client.scan_iter(self._name + "*", count=1000))

    def items(self) -> Iterator[tuple[Any, Any]]:
        keys = list(self._client.scan_iter(self._name + "*", count=1000))
        for start in range(0, len(keys), 1000):
            batch = keys[start : start + 1000]
            for key, data in zip(batch, self._client.mget(batch), strict=True):
                yield key, pickle.loads(data)


class RawMongo(System):
    name = "pymongo + pickle"

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        import pymongo

        client: Any = pymongo.MongoClient(os.environ["HASHSTASH_BENCH_MONGO_URI"])
        self._rows = client["hashstash_bench"]["rows_" + hashlib.blake2b(folder.encode(), digest_size=8).hexdigest()]

    def get(self, key: Any) -> Any:
        return pickle.loads(self._rows.find_one({"_id": key})["value"])

    def miss(self, key: Any) -> Any:
        return self._rows.find_one({"_id": key})

    def set(self, key: Any, value: Any) -> None:
        self._rows.update_one({"_id": key}, {"$set": {"value": pickle.dumps(value, 5)}}, upsert=True)

    def set_many(self, items: Iterable[tuple[Any, Any]]) -> None:
        from pymongo import UpdateOne

        changes = ((key, {"$set": {"value": pickle.dumps(value, 5)}}) for key, value in items)
        self._rows.bulk_write([UpdateOne({"_id": key}, change, upsert=True) for key, change in changes])

    def count(self) -> int:
        return int(self._rows.count_documents({}))

    def items(self) -> Iterator[tuple[Any, Any]]:
        for row in self._rows.find():
            yield row["_id"], pickle.loads(row["value"])


UNDERNEATH: dict[str, type[System]] = {
    "lmdb": RawLmdb,
    "pairtree": RawFiles,
    "sqlite": RawSqlite,
    "sqlitedict": RawSqliteDict,
    "diskcache": DiskCache,
    "shelve": RawShelve,
    "pickledb": RawPickleDb,
    "memory": RawDict,
    "redis": RawRedis,
    "mongo": RawMongo,
}
"""The library underneath each engine."""
