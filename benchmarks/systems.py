"""The systems that are compared, each behind the same few methods.

All of them promise the same: what was written survives a killed process, and nothing is fsynced per write. A method
that a system does not have raises :class:`Unsupported`, and the table shows a dash.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import pickle
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

from benchmarks import original

MAP_SIZE = 4 << 30
_LONGEST_LMDB_KEY = 511


class Unsupported(Exception):
    """The system has no such operation."""


class System:
    """One store in one folder. Every method is one call deep, so that no adapter costs more than another."""

    name: ClassVar[str]
    package: ClassVar[str] = ""
    """What has to be installed for it beside the packages that all benchmarks need."""
    imports: ClassVar[str] = ""
    """The statement that a program needs before it can use the system."""
    workloads: ClassVar[frozenset[str] | None] = None
    """Those in which it takes part; ``None``: in all that it has the operations for."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def get(self, key: Any) -> Any:
        """The value at *key*; KeyError if there is none."""
        raise Unsupported

    def miss(self, key: Any) -> Any:
        """What the system says for a *key* that is not there: ``None``."""
        raise Unsupported

    def set(self, key: Any, value: Any) -> None:
        """Store one value."""
        raise Unsupported

    def set_many(self, items: Iterable[tuple[Any, Any]]) -> None:
        """Store many values in the way that the system recommends."""
        raise Unsupported

    def count(self) -> int:
        """How many values there are."""
        raise Unsupported

    def items(self) -> Iterator[tuple[Any, Any]]:
        """All keys with their values, decoded."""
        raise Unsupported

    def frame(self) -> Any:
        """All records as a DataFrame by their keys: of the ways to make one with pandas alone the quickest that was found."""
        import pandas as pd

        return pd.DataFrame([{"_key": key, **record} for key, record in self.items()]).set_index("_key")

    def memoize(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function with a memory in this store."""
        raise Unsupported


class RawLmdb(System):
    """What one would write by hand: LMDB without fsync, and pickle protocol 5. The yardstick."""

    name = "raw lmdb"
    imports = "import lmdb, pickle"

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        import lmdb

        self._env = lmdb.open(folder, map_size=MAP_SIZE, sync=False, metasync=False, max_spare_txns=8)

    def get(self, key: Any) -> Any:
        with self._env.begin() as transaction:
            data = transaction.get(_bytes_of(key))
        if data is None:
            raise KeyError(key)
        return pickle.loads(data)

    def miss(self, key: Any) -> Any:
        with self._env.begin() as transaction:
            data = transaction.get(_bytes_of(key))
        return None if data is None else pickle.loads(data)

    def set(self, key: Any, value: Any) -> None:
        data = pickle.dumps(value, 5)
        with self._env.begin(write=True) as transaction:
            transaction.put(_bytes_of(key), data)

    def set_many(self, items: Iterable[tuple[Any, Any]]) -> None:
        with self._env.begin(write=True) as transaction:
            for key, value in items:
                transaction.put(_bytes_of(key), pickle.dumps(value, 5))

    def count(self) -> int:
        return int(self._env.stat()["entries"])

    def items(self) -> Iterator[tuple[Any, Any]]:
        with self._env.begin() as transaction, transaction.cursor() as cursor:
            for key, data in cursor:
                yield key.decode(), pickle.loads(data)

    def memoize(self, function: Callable[..., Any]) -> Callable[..., Any]:
        name = function.__qualname__
        begin = self._env.begin

        @functools.wraps(function)
        def remembered(*args: Any) -> Any:
            key = _bytes_of((name, args))
            with begin() as transaction:
                data = transaction.get(key)
            if data is not None:
                return pickle.loads(data)
            result = function(*args)
            with begin(write=True) as transaction:
                transaction.put(key, pickle.dumps(result, 5))
            return result

        return remembered


def _bytes_of(key: Any) -> bytes:
    """A key for LMDB. Pickle is not canonical: equal keys may differ here, which is the price of writing it by hand."""
    if type(key) is str:
        return key.encode()
    data = pickle.dumps(key, 5)
    return data if len(data) <= _LONGEST_LMDB_KEY else hashlib.sha256(data).digest()


class DiskCache(System):
    """diskcache, not evicting anything and not waiting for the disk."""

    name = "diskcache"
    package = "diskcache"
    imports = "import diskcache"

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        import diskcache  # type: ignore[import-untyped]

        # 0 is OFF: in WAL mode that survives a killed process, as the others here do.
        self._cache = diskcache.Cache(
            folder, eviction_policy="none", cull_limit=0, size_limit=MAP_SIZE, sqlite_synchronous=0
        )

    def get(self, key: Any) -> Any:
        return self._cache[key]

    def miss(self, key: Any) -> Any:
        return self._cache.get(key)

    def set(self, key: Any, value: Any) -> None:
        self._cache[key] = value

    def set_many(self, items: Iterable[tuple[Any, Any]]) -> None:
        with self._cache.transact():
            for key, value in items:
                self._cache[key] = value

    def count(self) -> int:
        return len(self._cache)

    def items(self) -> Iterator[tuple[Any, Any]]:
        for key in self._cache:
            yield key, self._cache[key]

    def memoize(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return self._cache.memoize(typed=True)(function)  # type: ignore[no-any-return]


class JoblibMemory(System):
    """joblib.Memory, which memoizes and is no dict."""

    name = "joblib"
    package = "joblib"
    imports = "import joblib"

    def memoize(self, function: Callable[..., Any]) -> Callable[..., Any]:
        import joblib  # type: ignore[import-untyped]

        return joblib.Memory(self.folder, verbose=0).cache(function)  # type: ignore[no-any-return]


class LruCache(System):
    """functools.lru_cache: in memory, gone with the process, and the same object each time. The floor."""

    name = "lru_cache"

    def memoize(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return functools.lru_cache(maxsize=None, typed=True)(function)


class Marimo(System):
    """marimo's persistent cache, which memoizes and is no dict; in a plain module it does what it does in a notebook."""

    name = "marimo"
    package = "marimo"
    imports = "import marimo"

    def memoize(self, function: Callable[..., Any]) -> Callable[..., Any]:
        import marimo

        logging.getLogger("marimo").setLevel(logging.ERROR)  # it warns that there is no notebook
        return marimo.persistent_cache(save_path=self.folder)(function)  # type: ignore[no-any-return]


class Original(System):
    """The first release of HashStash with its defaults, in an environment of its own: see ``original.py``."""

    name = original.NAME
    workloads = frozenset({"W1", "W5", "W6", "W7"})  # with the others a run would take an hour

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        from hashstash import HashStash

        self._stash: Any = HashStash(root_dir=os.path.join(folder, "stash"))

    def get(self, key: Any) -> Any:
        return self._stash[key]

    def miss(self, key: Any) -> Any:
        return self._stash.get(key)

    def set(self, key: Any, value: Any) -> None:
        self._stash[key] = value

    def memoize(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return self._stash.stashed_result(function)  # type: ignore[no-any-return]


class OursLmdb(System):
    """HashStash with its default settings."""

    name = "hashstash"
    engine: ClassVar[str] = "lmdb"
    imports = "import hashstash"

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        from hashstash import HashStash

        self._stash = HashStash(os.path.join(folder, "stash"), engine=self.engine)

    def get(self, key: Any) -> Any:
        return self._stash[key]

    def miss(self, key: Any) -> Any:
        return self._stash.get(key)

    def set(self, key: Any, value: Any) -> None:
        self._stash[key] = value

    def set_many(self, items: Iterable[tuple[Any, Any]]) -> None:
        self._stash.update(items)

    def count(self) -> int:
        return len(self._stash)

    def items(self) -> Iterator[tuple[Any, Any]]:
        return iter(self._stash.items())

    def frame(self) -> Any:
        return self._stash.df

    def memoize(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return self._stash.stashed_result(function)  # type: ignore[no-any-return]


class OursPairtree(OursLmdb):
    """HashStash on plain files, as on network drives."""

    name = "pairtree"
    engine = "pairtree"


YARDSTICK = RawLmdb.name
SYSTEMS: dict[str, type[System]] = {
    system.name: system
    for system in (RawLmdb, OursLmdb, OursPairtree, DiskCache, JoblibMemory, Marimo, LruCache, Original)
}
