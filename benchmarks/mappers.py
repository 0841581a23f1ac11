"""What maps a function over many items with two processes, each behind the same method."""

from __future__ import annotations

import functools
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any, ClassVar

from benchmarks import original, systems

WORKERS = 2
Items = list[tuple[Any, ...]]


class Mapper:
    """A map that remembers its results in one folder, with a pool of processes that stays."""

    name: ClassVar[str]
    package: ClassVar[str] = ""
    """What has to be installed for it."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def map(self, function: Callable[..., Any], items: Items, chunksize: int) -> list[Any]:
        """The results for all *items*, each the arguments of a call, in their order; *chunksize* suits their length."""
        raise NotImplementedError


class Pool(Mapper):
    """``ProcessPoolExecutor.map`` alone, which looks nothing up and stores nothing: the yardstick."""

    name = "raw pool"

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        # What hashstash uses too: a fork of a process with threads or an open database is no choice.
        methods = multiprocessing.get_all_start_methods()
        context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
        self._pool = ProcessPoolExecutor(WORKERS, mp_context=context)

    def map(self, function: Callable[..., Any], items: Items, chunksize: int) -> list[Any]:
        return list(self._pool.map(function, *zip(*items, strict=True), chunksize=chunksize))


class MemoryInPool(Pool):
    """A memoized function in such a pool: its workers read and write the store, as one would write it by hand."""

    system: ClassVar[type[systems.System]]

    def map(self, function: Callable[..., Any], items: Items, chunksize: int) -> list[Any]:
        return super().map(functools.partial(_remembered, self.system.name, self.folder, function), items, chunksize)


def _remembered(system: str, folder: str, function: Callable[..., Any], *args: Any) -> Any:
    return _memory(system, folder, function)(*args)


@functools.cache
def _memory(system: str, folder: str, function: Callable[..., Any]) -> Callable[..., Any]:
    return systems.SYSTEMS[system](folder).memoize(function)


class DiskCache(MemoryInPool):
    name = package = "diskcache"
    system = systems.DiskCache


class Marimo(MemoryInPool):
    name = package = "marimo"
    system = systems.Marimo


class Joblib(Mapper):
    """``joblib.Parallel`` with functions of ``joblib.Memory``."""

    name = package = "joblib"

    def map(self, function: Callable[..., Any], items: Items, chunksize: int) -> list[Any]:
        import joblib

        cached = _memory(self.name, self.folder, function)
        return list(joblib.Parallel(n_jobs=WORKERS)(joblib.delayed(cached)(*item) for item in items))


class LruCache(Mapper):
    """``functools.lru_cache``, which no other process sees: one item after the other. The floor of what is cached."""

    name = "lru_cache"

    def map(self, function: Callable[..., Any], items: Items, chunksize: int) -> list[Any]:
        cached = _memory(self.name, self.folder, function)
        return [cached(*item) for item in items]


class Ours(Mapper):
    """``HashStash(...).map`` with its defaults."""

    name = "hashstash"
    engine: ClassVar[str] = "lmdb"

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        from hashstash import HashStash

        self._stash = HashStash(os.path.join(folder, "stash"), engine=self.engine)

    def map(self, function: Callable[..., Any], items: Items, chunksize: int) -> list[Any]:
        return self._stash.map(function, items, num_proc=WORKERS, progress=False).results


class OursPairtree(Ours):
    name = engine = "pairtree"


class Original(Mapper):
    """The map of the first release, in an environment of its own."""

    name = original.NAME

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        from hashstash import HashStash

        self._stash: Any = HashStash(root_dir=os.path.join(folder, "stash"))

    def map(self, function: Callable[..., Any], items: Items, chunksize: int) -> list[Any]:
        return list(self._stash.map(function, items, num_proc=WORKERS, progress=False).results)


YARDSTICK = Pool.name
MAPPERS: dict[str, type[Mapper]] = {
    mapper.name: mapper for mapper in (Pool, Ours, OursPairtree, DiskCache, Joblib, Marimo, LruCache, Original)
}
