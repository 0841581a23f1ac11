"""One writer at a time of a row that lies in a file of its own: whoever replaces or removes it locks that very file.

So there are no lock files that anybody could leave behind, the system frees a lock when its holder dies, and a row that is new
needs none. Who has waited for a file that is not the row any more waits for the one that took its place.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from threading import get_ident
from typing import TYPE_CHECKING, TypeVar

from hashstash import forks
from hashstash.refusals import locate

if TYPE_CHECKING:
    from collections.abc import Callable

try:
    import fcntl
except ImportError:  # no flock on this system: locks reach as far as the process
    fcntl = None  # type: ignore[assignment]

Result = TypeVar("Result")

# A link would lock any file of this user's, and opening a pipe would wait for ever.
_CAREFUL = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_LOOK = os.O_RDONLY | _CAREFUL
_CHANGE = os.O_RDWR | _CAREFUL
_NO_FILE_TO_LOCK = (errno.ELOOP, errno.ENXIO, errno.ENODEV, errno.EACCES, errno.EPERM)
"""There is something else than a file, or a file that only others may open."""
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP)
"""What file systems say that have no locks."""

_process_lock = threading.RLock()
_held: set[tuple[int, str]] = set()
"""The rows that are locked, or waited for, each with the thread that does so."""
_open: set[int] = set()
"""The descriptors that may be locked. A forked child closes them: it would keep the lock of a parent that is killed."""


def alone_with(path: str, work: Callable[[], Result], *, is_needed: bool = False) -> Result:
    """What *work* returns, while no other thread or process is in here with the row at *path*; FileNotFoundError without a row.

    It runs all the same, and keeps nobody out, where there is no file that can be locked, and where the file system has no locks
    unless *is_needed*; OSError then. What it returns is true if the row has been replaced or removed.
    """
    if fcntl is None:
        with _process_lock:
            os.lstat(path)
            return work()
    hold = get_ident(), path
    if hold in _held:  # by what a signal handler or a finalizer has interrupted: to wait would be for ever
        return work()
    while True:
        try:
            descriptor = os.open(path, _LOOK)
        except OSError as error:
            if error.errno in _NO_FILE_TO_LOCK:
                return work()
            raise
        is_done = False
        try:
            _open.add(descriptor)
            _held.add(hold)  # before it is locked: what comes in between then would wait for ever, too
            if _is_locked(descriptor, path, is_needed=is_needed):
                result = work()
                is_done = bool(result)
                return result
        finally:
            _held.discard(hold)
            try:
                # Closing does not give it back where a child was forked before it was noted that this file is open.
                if not is_done:
                    fcntl.flock(descriptor, fcntl.LOCK_UN)
            except OSError:
                pass  # which was not locked
            finally:
                _close(descriptor)


def _is_locked(descriptor: int, path: str, *, is_needed: bool) -> bool:
    """Wait for the lock; ``False`` if the file is not the row any more."""
    try:
        _lock(descriptor, path, is_needed=is_needed)
        return os.fstat(descriptor).st_ino == os.lstat(path).st_ino
    except OSError as error:
        if error.errno == errno.ESTALE:  # removed by another machine
            return False
        locate(error, path)
        raise


def _lock(descriptor: int, path: str, *, is_needed: bool) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno == errno.EBADF:
            _lock_writable(descriptor, path)
        elif is_needed or error.errno not in _NO_LOCKS:
            raise


def _lock_writable(descriptor: int, path: str) -> None:
    """Lock the file for NFS, which locks only what may be written; other file systems store what was opened for that anew."""
    writable = os.open(path, _CHANGE)
    try:
        os.dup2(writable, descriptor, inheritable=False)
    finally:
        os.close(writable)
    fcntl.flock(descriptor, fcntl.LOCK_EX)


def _close(descriptor: int) -> None:
    try:
        _open.discard(descriptor)  # first of all: once it is closed, its number may be that of another file
    finally:
        try:
            os.close(descriptor)
        except OSError:
            pass  # NFS tells here what it could not write, and nothing was written


def _forget_in_child() -> None:
    global _process_lock
    _process_lock = threading.RLock()
    for descriptor in _open:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _open.clear()
    _held.clear()


forks.in_child(_forget_in_child)
