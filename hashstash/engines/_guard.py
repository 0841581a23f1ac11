"""A lock file for storages that one process at a time may write, which also says whether anything has changed.

Readers share the lock, a writer has it alone, and the system frees it when its holder dies. Two numbers lie in the file: one
that every write raises, odd while the writer is at work, and how many rows there are. Whoever has the lock and finds the
first one odd knows that a writer was killed, and counts again. Behind them may stand a seal, which says how the storage
looked after a change, and after which one: what differs from it was written by nobody who had the lock. While rows are written
anew, since the storage is damaged, it stands behind an odd number: whoever finds it so knows that this has not come to its end.
"""

from __future__ import annotations

import contextlib
import os
import struct
from typing import TYPE_CHECKING

from hashstash.paths import create_file, make_folder, open_file

if TYPE_CHECKING:
    from collections.abc import Callable

try:
    import fcntl
except ImportError:  # no flock on this system: what is guarded reaches as far as the process
    fcntl = None  # type: ignore[assignment]

REACHES_PROCESSES = fcntl is not None
"""Whether the lock keeps other processes out, and not only what is in this one."""
_HEAD = struct.Struct("<QQ")
_SEAL = struct.Struct("<QQ")


class Guard:
    """The lock file at *path*, for one thread of this process at a time."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.change = 0
        """The number of the last change, as of the last :meth:`enter`."""
        self.rows = 0
        """How many rows there are, unless ``change`` is odd."""
        self.seal: int | None = None
        """How the storage looked after the last change, as whoever made it put that into a number; ``None`` if nobody did."""
        self.is_known = False
        """Whether ``rows`` is the number of rows: nobody was killed while he wrote."""
        self.is_half_mended = False
        """Whether somebody was killed, or failed, while he wrote the rows of a damaged storage anew."""
        self._descriptor = -1
        self._inode = 0
        self._is_writable = False

    def enter(self, *, alone: bool, before_waiting: Callable[[], None] | None = None) -> bool:
        """Wait for the lock, shared or *alone*; ``False`` for a reader if nobody has ever written.

        *before_waiting*: what is called before it is waited for, and raises where that would be for ever.
        """
        kind = 0 if fcntl is None else fcntl.LOCK_EX if alone else fcntl.LOCK_SH
        while True:
            if self._descriptor < 0 and not self._open(make=alone):
                return False
            if fcntl is not None:
                try:
                    fcntl.flock(self._descriptor, kind | fcntl.LOCK_NB)
                except BlockingIOError:
                    if before_waiting is not None:
                        before_waiting()
                    fcntl.flock(self._descriptor, kind)
            if self._is_current():
                break
            self.close()  # the folder was removed, and perhaps made again
        whole = os.pread(self._descriptor, _HEAD.size + _SEAL.size, 0)
        head, rest = whole[: _HEAD.size], whole[_HEAD.size :]
        # A new file begins anywhere, so that its numbers are not those of one that was removed with its folder.
        self.change, self.rows = _HEAD.unpack(head) if len(head) == _HEAD.size else (_somewhere(), 0)
        self.is_known = len(head) == _HEAD.size and not self.change % 2
        change, seal = _SEAL.unpack(rest) if len(rest) == _SEAL.size else (0, 0)
        self.is_half_mended = change == self.change and bool(change % 2)
        self.seal = seal if self.is_known and change == self.change else None
        return True

    def is_still(self, change: object) -> bool:
        """Whether *change* is the last one, with nobody at work; asked without the lock."""
        if self._descriptor < 0 or not isinstance(change, int) or change % 2:
            return False
        try:
            is_last = os.pread(self._descriptor, 8, 0) == change.to_bytes(8, "little")
            return is_last and os.fstat(self._descriptor).st_nlink > 0  # else the folder was removed
        except OSError:
            return False  # whoever takes the lock is told

    def leave(self) -> None:
        """Give the lock back, if it is held."""
        if self._descriptor >= 0 and fcntl is not None:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            except OSError:
                self.close()  # which frees it, too

    def begin(self, *, mends: bool = False) -> None:
        """Say that from now on things change, and that there is damage until :meth:`finish`, if it *mends* what is there."""
        self.change += 1 + self.change % 2  # odd, and another one than a writer's that was killed
        self._note(_HEAD.pack(self.change, self.rows) + (_SEAL.pack(self.change, 0) if mends else b""))

    def finish(self, rows: int, seal: int | None = None) -> None:
        """Say that the change is complete, that there are *rows* rows now, and how the storage looks."""
        self.change, self.rows, self.seal = self.change + 1, rows, seal
        sealed = b"" if seal is None else _SEAL.pack(self.change, seal)
        self._note(_HEAD.pack(self.change, self.rows) + sealed)

    def _note(self, content: bytes) -> None:
        done = 0
        while done < len(content):
            done += os.pwrite(self._descriptor, content[done:], done)

    def close(self) -> None:
        """Close the file, which frees the lock."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)  # no interrupt comes between the two

    def _open(self, *, make: bool) -> bool:
        while True:
            # Before it is open: after an interrupt, it must not be taken for the one that was open last.
            self._inode, self._is_writable = 0, make
            try:
                self._descriptor = open_file(self.path, os.O_RDWR if make else os.O_RDONLY)
                break
            except FileNotFoundError:
                if not make:
                    return False
            with contextlib.suppress(FileExistsError):
                make_folder(os.path.dirname(self.path))
                os.close(create_file(self.path))
        # Again, since a signal handler or a finalizer may have opened one for itself meanwhile.
        self._inode, self._is_writable = os.fstat(self._descriptor).st_ino, make
        return True

    def _is_current(self) -> bool:
        try:
            return os.stat(self.path).st_ino == self._inode
        except FileNotFoundError:
            return False

    def for_writing(self) -> bool:
        """Whether the file is open for writing already; closes one that was opened for reading only."""
        if self._descriptor >= 0 and not self._is_writable:
            self.close()
        return self._descriptor >= 0


def _somewhere() -> int:
    """An odd number, as where a writer was killed: whoever writes next counts the rows that there are."""
    return int.from_bytes(os.urandom(6), "little") << 8 | 1
