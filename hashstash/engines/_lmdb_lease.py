"""Looking ten times a second whether a file that is open is still the one that lies there, at no cost for those who use it.

Each environment may be used for a while only. Then a thread takes its ``begin`` away, so that whoever comes next goes the careful
way, looks, and gets it back for another while. What nobody uses wakes no thread.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashstash.engines._lmdb_environment import Environment

logger = logging.getLogger(__name__)

WHILE = 0.08
"""Seconds. With the time that a busy machine takes to let a thread run, a tenth of a second."""


class _Watcher:
    def __init__(self) -> None:
        self._lent: set[Environment] = set()
        self._some = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="hashstash-lease", daemon=True)

    def start(self) -> None:
        try:
            self._thread.start()
        except RuntimeError as error:  # none is started while the interpreter ends
            logger.debug("nobody looks whether files are in place: %s", error)

    def is_alive(self) -> bool:
        """``False`` in a forked child, too."""
        return self._thread.is_alive()

    def add(self, environment: Environment) -> None:
        self._lent.add(environment)
        self._some.set()

    def _watch(self) -> None:
        while self._some.wait():
            self._some.clear()
            time.sleep(WHILE)
            for environment in list(self._lent):
                self._lent.discard(environment)
                if not environment.expire():
                    self.add(environment)


_watcher = _Watcher()


def lend(environment: Environment) -> None:
    """Call ``environment.expire`` in a while, again and again until it is true."""
    global _watcher
    # No lock, which a forked child could find held: two threads at once start two watchers, of which each does its part.
    watcher = _watcher
    if not watcher.is_alive():
        watcher = _Watcher()
        watcher.start()
        _watcher = watcher
    watcher.add(environment)
