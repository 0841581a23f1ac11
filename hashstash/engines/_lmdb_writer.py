"""Waiting in naps for whoever writes to an LMDB environment: an interrupt is heard, and who waits for a stopped process is told.

The library waits for its mutex deaf and without a limit. By the GNU C library that lies in the file of locks with the number of
the thread that holds it, which everybody can read. Nothing depends on that being right: it is the library that takes the mutex.
"""

from __future__ import annotations

import logging
import mmap
import os
import threading
import time
from typing import TYPE_CHECKING

from hashstash.errors import StashLocked
from hashstash.paths import open_file

if TYPE_CHECKING:
    from collections.abc import Sequence

logger = logging.getLogger(__name__)

NOBODY: Sequence[int] = (0,)
"""Where it cannot be known."""
_SIZE = 128
_HEAD = bytes.fromhex("dec0efbe01000100")
"""How a file of locks begins of which the layout is known."""
_MUTEX_AT = 64 // 4
_THREAD = 0x3FFF_FFFF
"""The other two bits say that somebody waits, and that the holder was killed."""
_SPINS = 40
_FIRST_NAP = 0.000_02
_LONGEST_NAP = 0.001
_LOOK_EVERY = 0.1
_PATIENCE = 30.0


class Writer:
    """Who writes, by the file of locks at *path*.

    It is made before the library opens that file, and closed after the library has closed it: whenever a process closes a file,
    it loses its locks on it.
    """

    def __init__(self, path: str) -> None:
        self._map: mmap.mmap | None = None
        self._words: memoryview | None = None
        if not _is_glibc():
            return
        try:
            descriptor = open_file(path, os.O_RDONLY)
        except FileNotFoundError:
            return
        try:
            self._map = mmap.mmap(descriptor, _SIZE, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            logger.debug("%s does not tell who writes: %s", path, error)
        finally:
            os.close(descriptor)

    def thread(self) -> Sequence[int]:
        """A sequence of one number, which is 0 while nobody writes; to be asked for when the library has opened the file."""
        if self._map is None or self._map[: len(_HEAD)] != _HEAD:
            return NOBODY
        self._words = self._words or memoryview(self._map).cast("I")[_MUTEX_AT:]
        return self._words

    def close(self) -> None:
        """Whoever reads the number afterwards gets a ValueError."""
        if self._map is not None:
            if self._words is not None:
                self._words.release()
            self._map.close()


def is_own(thread: Sequence[int]) -> bool:
    """Whether it is this thread that writes, or one of that number in another container."""
    return thread[0] & _THREAD == threading.get_native_id()


def wait_for(thread: Sequence[int], folder: str) -> None:
    """Wait for as long as somebody writes to *folder*; StashLocked if that process was stopped for half a minute by then."""
    for _ in range(_SPINS):
        if not thread[0] & _THREAD:
            return
    nap = _FIRST_NAP
    stopped_at, next_look = None, time.monotonic() + _LOOK_EVERY
    while number := thread[0] & _THREAD:
        time.sleep(nap)
        nap = min(2 * nap, _LONGEST_NAP)
        now = time.monotonic()
        if now < next_look:
            continue
        next_look = now + _LOOK_EVERY
        state = _state_of(number)
        if not state:
            return
        if state not in "tT":
            stopped_at = None
        elif stopped_at is None:
            stopped_at = now
        elif now - stopped_at > _PATIENCE:
            text = f"process {number} was stopped while it was writing to {folder}"
            raise StashLocked(f"{text}; have it go on (kill -CONT {number}), or end it (kill -KILL {number})")


def _state_of(thread: int) -> str:
    """The letter that Linux has for it; nothing if there is none, or only one outside of this container."""
    try:
        with open(f"/proc/{thread}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0].decode()
    except OSError:
        return ""


def _is_glibc() -> bool:
    try:
        return bool(os.confstr("CS_GNU_LIBC_VERSION"))
    except (AttributeError, ValueError, OSError):
        return False
