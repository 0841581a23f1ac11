"""What goes to the file descriptors of a kernel: child processes and libraries in C write there.

It takes a way of its own, through a pipe and a thread that reads it, and arrives a moment late. A mark is sent after it, so that
one can wait for exactly what was written before.
"""

from __future__ import annotations

import os
import select
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

MARK = "\x1b[0;0;0;0m"
"""No text of anybody's, and nothing to be seen in the terminal or the log of the kernel, which get it too."""

_MOST_SECONDS = 5.0
_DESCRIPTORS = {"stdout": 1, "stderr": 2}


class Pipe:
    """The pipe of one of the kernel's streams, if it has one."""

    def __init__(self, stream: Any) -> None:
        self._source = getattr(stream, "_fid", None)
        self._reader = getattr(stream, "watch_fd_thread", None)
        self._target = _DESCRIPTORS.get(getattr(stream, "name", ""))
        self._rest = ""
        self._awaits_mark = False
        self._is_empty = threading.Event()

    def drain(self) -> None:
        """Return when everything that was written before has gone through :meth:`passed`."""
        if not isinstance(self._source, int) or self._reader is None or not self._reader.is_alive():
            return
        if not self._leads_here():
            _wait_until_read(self._source)
            return
        assert self._target is not None
        self._is_empty.clear()
        self._awaits_mark = True
        os.write(self._target, MARK.encode())
        self._is_empty.wait(_MOST_SECONDS)

    def passed(self, text: str, write: Callable[[str], Any]) -> Any:
        """Write what arrives, without the mark."""
        if not self._awaits_mark:
            return write(text)
        before, mark, after = (self._rest + text).partition(MARK)
        self._rest = "" if mark else _beginning_of_mark(before)
        kept = before[: len(before) - len(self._rest)] + after
        try:
            return write(kept) if kept else 0
        finally:
            if mark:
                self._awaits_mark = False
                self._is_empty.set()

    def _leads_here(self) -> bool:
        """Whether nobody has led the descriptor elsewhere: a mark in his file would be damage."""
        try:
            return self._target is not None and os.path.sameopenfile(self._target, self._source)  # type: ignore[arg-type]
        except OSError:
            return False


def _beginning_of_mark(text: str) -> str:
    """The end of *text* that may be where a mark begins; the rest of it is to come."""
    return next((MARK[:size] for size in range(len(MARK) - 1, 0, -1) if text.endswith(MARK[:size])), "")


def _wait_until_read(pipe: int) -> None:
    end = time.monotonic() + _MOST_SECONDS / 10
    while time.monotonic() < end and select.select([pipe], [], [], 0)[0]:
        time.sleep(0.001)
    time.sleep(0.002)  # the reading thread holds the last chunk and is about to write it
