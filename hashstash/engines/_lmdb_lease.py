"""Looking ten times a second whether a file that is open is still the one that lies there, at no cost for those who use it.

Each environment may be used for a while only. Then a thread takes its ``begin`` away, so that whoever comes next goes the careful
way, looks, and gets it back for another while. What nobody uses wakes no thread.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashstash.engines._lmdb_environment import Environment

logger = logging.getLogger(__name__)

WHILE = 0.08
"""Seconds. With the time that a busy machine takes to let a thread run, a tenth of a second."""


class _Watcher:
    def __init__(self) -> None:
        # Written in C, unlike an event: an interrupt that comes while something is put there leaves nothing locked.
        self._lent: SimpleQueue[Environment] = SimpleQueue()
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
        self._lent.put(environment)

    def _watch(self) -> None:
        while True:
            lent = [self._lent.get()]
            time.sleep(WHILE)
            with contextlib.suppress(Empty):
                while True:
                    lent.append(self._lent.get_nowait())
            for environment in lent:
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
