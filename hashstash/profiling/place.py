"""Where the stashes of a profile lie: beside what is profiled, on the same disk or server, and nowhere once it is over."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from contextlib import contextmanager
from dataclasses import replace
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from hashstash import locks
from hashstash.engine import Capability
from hashstash.errors import ReadOnlyStash
from hashstash.locks import KeyLock
from hashstash.open import below, configure
from hashstash.paths import safe_parts
from hashstash.registry import ENGINES
from hashstash.stash import HashStash

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashstash.open import Config

_PREFIX = "profile-"
_ALIVE = "alive"
_YOUNGEST = 60.0
"""Seconds that a folder is left alone: it may have been made just now, and not be locked yet."""


class Place:
    """A namespace of its own beside a stash, in which others are opened with its settings, but without its limits.

    A stash that is read-only has nothing put beside it: then they lie in the system's folder for temporary files.
    """

    def __init__(self, config: Config, aside: str) -> None:
        self._config = config
        self._aside = aside
        self._name = _PREFIX + token_hex(6)
        self._opened: list[Config] = []
        self._made: dict[str, list[str]] = {}
        """Folders to be removed, each with those above it that were not there before."""
        self._alive: list[KeyLock] = []
        """Held as long as those folders are in use: a lock file in one that nobody holds was left by a killed process."""

    @property
    def own_engine(self) -> str:
        """The engine of the stash that is profiled."""
        return self._config.engine

    def engine(self, wanted: Any) -> Config:
        """What the engine of that name, or at that URL, is opened with here."""
        mine = self._config
        is_url = isinstance(wanted, str) and "://" in wanted
        name = None if is_url else str(ENGINES.load(wanted).name)
        found = configure(
            root_dir=wanted if is_url else mine.root_dir,
            dbname=None,
            engine=name,
            serializer=mine.serializer,
            compress=mine.compress,
            ttl=None,
            durability=mine.durability,
            trust=mine.trust,
            engine_options=mine.engine_options if name == mine.engine else {},
        )
        if mine.read_only:
            if Capability.REMOTE in ENGINES.load(found.engine).capabilities:
                raise ReadOnlyStash(
                    f"profiling {found.engine} writes to its server, and this stash is read-only; open it without read_only"
                )
            found = replace(found, root_dir=self._aside)
        found = replace(found, dbname=mine.dbname, append_mode=mine.append_mode, paths=mine.paths, is_tmp=True)
        return below(found, self._name)

    def open(self, config: Config) -> HashStash:
        """The stash of *config*, which lies below what :meth:`engine` gave; whoever opens it closes it."""
        if config not in self._opened:
            self._opened.append(config)
            if ENGINES.load(config.engine).keeps_files:
                above = os.path.join(config.root_dir, *(safe_parts(name) if (name := self._config.dbname) else ()))
                folder = os.path.join(above, self._name)
                if folder not in self._made:
                    _sweep(above)
                    self._made[folder] = _missing(above)
                    self._alive.append(KeyLock(folder, _ALIVE))
                    self._alive[-1].acquire()
        return HashStash.from_config(config)

    def remove(self) -> None:
        """Remove all that was stored here."""
        try:
            for config in self._opened:
                if Capability.LOCAL_FILES not in ENGINES.load(config.engine).capabilities:
                    with HashStash.from_config(config) as stash:
                        stash.clear()
                        above, name, _ = stash.path.partition(self._name)
                    if name and os.path.isabs(above):  # the folders of shared memory, which stay when it is given back
                        shutil.rmtree(above + name, ignore_errors=True)
        finally:
            for lock in self._alive:
                lock.release()
            for folder, parents in self._made.items():
                shutil.rmtree(folder, ignore_errors=True)
                for parent in parents:
                    _remove_empty(parent)


@contextmanager
def beside(config: Config) -> Iterator[Place]:
    """A place beside the stash of *config*, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="hashstash-", ignore_cleanup_errors=True) as aside:
        place = Place(config, aside)
        try:
            yield place
        finally:
            place.remove()


def _sweep(above: str) -> None:
    """Remove what profiles have left that were killed."""
    with contextlib.suppress(OSError):  # whatever cannot be removed, the profile that is asked for comes first
        for name in os.listdir(above):
            folder = os.path.join(above, name)
            is_old = name.startswith(_PREFIX) and time.time() - os.stat(folder).st_mtime > _YOUNGEST
            if is_old and locks.sweep(folder):  # no stash has lock files there, whatever it is called
                shutil.rmtree(folder, ignore_errors=True)


def _missing(folder: str) -> list[str]:
    """*folder* and those above it that do not exist, the deepest first."""
    found = []
    while folder and not os.path.lexists(folder):
        found.append(folder)
        folder = os.path.dirname(folder)
    return found


def _remove_empty(folder: str) -> None:
    try:
        os.rmdir(folder)
    except OSError:
        pass  # somebody has put something there meanwhile
