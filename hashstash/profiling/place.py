"""Where the stashes of a profile lie: beside what is profiled, on the same disk or server, and nowhere once it is over."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from hashstash.engine import Capability
from hashstash.errors import ReadOnlyStash
from hashstash.open import below, configure
from hashstash.paths import safe_parts
from hashstash.registry import ENGINES
from hashstash.stash import HashStash

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashstash.open import Config


class Place:
    """A namespace of its own beside a stash, in which others are opened with its settings, but without its limits.

    A stash that is read-only has nothing put beside it: then they lie in the system's folder for temporary files.
    """

    def __init__(self, config: Config, aside: str) -> None:
        self._config = config
        self._aside = aside
        self._name = "profile-" + token_hex(6)
        self._opened: list[Config] = []
        self._made: dict[str, list[str]] = {}
        """Folders to be removed, each with those above it that were not there before."""

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
                self._made.setdefault(os.path.join(above, self._name), _missing(above))
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
