"""Stashes that stay open from cell to cell: finding out which one is meant and opening it takes longer than a lookup in it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from hashstash.cells.rows import Rows
from hashstash.cells.stashes import CellStashes
from hashstash.cells.surroundings import working_directory
from hashstash.imports import is_installed
from hashstash.paths import cache_root
from hashstash.settings import load_settings
from hashstash.stash import HashStash
from hashstash.upkeep import sweep_daily

if TYPE_CHECKING:
    from hashstash.open import Config

_MOST_OPEN = 8


class _Opened(NamedTuple):
    config: Config
    rows: Rows
    folder: tuple[int, int] | None


class OpenStashes:
    """The stashes that were used last. They belong to all who ask, so that nobody closes them."""

    def __init__(self) -> None:
        self._kept: list[_Opened] = []
        self._meant: dict[tuple[str | None, ...], tuple[tuple[Any, ...], Config]] = {}

    def rows(self, name: str, root: str, *, engine: str | None, serializer: str | None, compress: str | None) -> Rows:
        """The records of a stash of ``CellStashes(root, ...)``, opened unless it is open.

        It is opened anew if its folder is another one by now.
        """
        config = self._config(name, root, engine, serializer, compress)
        found = next((kept for kept in self._kept if kept.config == config), None)
        if found is not None:
            self._kept.remove(found)
            if found.folder != _folder(found.rows.stash):
                found.rows.stash.close()
                found = None
        if found is None:
            stash = HashStash.from_config(config)
            found = _Opened(config, Rows(stash), _folder(stash))
        else:
            sweep_daily(found.rows.stash.store)  # as when it is opened: a kernel may live for weeks
        self._kept.append(found)
        del self._kept[:-_MOST_OPEN]
        return found.rows

    def _config(self, name: str, root: str, engine: str | None, serializer: str | None, compress: str | None) -> Config:
        """What these choices mean, found out again when anything changed that has a say in it."""
        chosen = name, root, engine, serializer, compress
        known = self._meant.pop(chosen, None)
        said = (
            os.path.expanduser(root),
            load_settings(),
            cache_root(),
            working_directory(),
            is_installed("lmdb"),
            is_installed("lz4"),
        )
        if known is None or known[0] != (*said, _device(known[1].root_dir)):
            config = CellStashes(root, engine=engine, serializer=serializer, compress=compress).config_of(name)
            known = (*said, _device(config.root_dir)), config
        self._meant[chosen] = known
        if len(self._meant) > _MOST_OPEN:
            del self._meant[next(iter(self._meant))]
        return known[1]


def _folder(stash: HashStash) -> tuple[int, int] | None:
    """Which folder or file it is in which the engine keeps the rows; ``None`` if it keeps none, or has not made it yet."""
    engine = stash.store.engine
    if not engine.keeps_files:
        return None
    try:
        status = os.stat(engine.location())
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _device(folder: str) -> int | None:
    """The device that *folder* lies on, or will when it is made: another one once something is mounted there."""
    while True:
        try:
            return os.stat(folder).st_dev
        except (FileNotFoundError, NotADirectoryError):
            if folder == os.path.dirname(folder):
                return None
            folder = os.path.dirname(folder)
        except OSError:
            return None
