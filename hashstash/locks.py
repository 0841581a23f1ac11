"""One lock per name, over threads and processes.

No stripes: two names never share a lock, so functions that call each other under their own locks cannot deadlock unless they
recurse for ever. A lock is a ``flock`` on a small file, which the system frees when its holder dies, and a mutex before it
for the threads of this process.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from hashlib import blake2b
from typing import TYPE_CHECKING, Self

from hashstash.paths import create_file, make_folder

if TYPE_CHECKING:
    from types import TracebackType

try:
    import fcntl
except ImportError:  # no flock on this system: locks reach as far as the process
    fcntl = None  # type: ignore[assignment]

_FIRST_PAUSE = 0.001
_LONGEST_PAUSE = 0.05


class _Mutex:
    """The part of a lock that lives in this process; kept while anybody holds it or waits for it."""

    __slots__ = ("depth", "descriptor", "path", "thread_lock", "users")

    def __init__(self, path: str | None) -> None:
        self.path = path
        self.thread_lock = threading.RLock()
        self.users = 0
        self.depth = 0
        self.descriptor = -1


_mutexes: dict[tuple[str | None, str], _Mutex] = {}
_table_lock = threading.Lock()
_fork_gate = threading.RLock()
"""Held while a lock file is opened or closed: a process forked meanwhile would keep a descriptor that it does not know of, and
with it the lock of a parent that is killed. Reentrant, for signal handlers that fork."""


class KeyLock:
    """A context manager: inside of it, no other thread or process is inside of the same folder's lock of that name.

    The thread that holds it may enter again. A forked child holds nothing. ``folder=None`` locks within this process.
    """

    __slots__ = ("_mutex", "folder", "name")

    def __init__(self, folder: str | None, name: str) -> None:
        self.folder = folder
        self.name = name
        self._mutex: _Mutex | None = None

    @property
    def depth(self) -> int:
        """How often the thread that holds it through this object has entered; 0 if nobody does."""
        mutex = self._mutex
        return mutex.depth if mutex is not None and _mutexes.get((self.folder, self.name)) is mutex else 0

    def acquire(self, timeout: float | None = None) -> bool:
        """Wait at most *timeout* seconds (``None``: for ever) for the lock; return whether it is now held."""
        deadline = None if timeout is None else time.monotonic() + timeout
        mutex = _enter(self.folder, self.name)
        taken = False
        try:
            taken = mutex.thread_lock.acquire(timeout=-1 if timeout is None else timeout)
            if not taken:
                return False
            if mutex.depth == 0 and mutex.path is not None and not _lock_file(mutex, deadline):
                mutex.thread_lock.release()
                taken = False
                return False
            mutex.depth += 1
            self._mutex = mutex
            return True
        except BaseException:
            if taken:
                mutex.thread_lock.release()
            taken = False
            raise
        finally:
            if not taken:
                _leave(self.folder, self.name, mutex)

    def release(self) -> None:
        """Give the lock back; the waiting thread or process that comes first gets it."""
        mutex = self._mutex
        if mutex is None or _mutexes.get((self.folder, self.name)) is not mutex:
            return  # a forked child holds nothing
        mutex.depth -= 1
        if mutex.depth == 0 and mutex.descriptor >= 0:
            _unlock_file(mutex)
        mutex.thread_lock.release()
        _leave(self.folder, self.name, mutex)

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _enter(folder: str | None, name: str) -> _Mutex:
    with _table_lock:
        mutex = _mutexes.get((folder, name))
        if mutex is None:
            mutex = _mutexes[folder, name] = _Mutex(_lock_path(folder, name))
        mutex.users += 1
        return mutex


def _leave(folder: str | None, name: str, mutex: _Mutex) -> None:
    with _table_lock:
        mutex.users -= 1
        if mutex.users == 0:
            _mutexes.pop((folder, name), None)


def _lock_path(folder: str | None, name: str) -> str | None:
    if folder is None or fcntl is None:
        return None
    return os.path.join(folder, blake2b(name.encode(), digest_size=16).hexdigest() + ".lock")


def _lock_file(mutex: _Mutex, deadline: float | None) -> bool:
    pause = _FIRST_PAUSE
    while True:
        with _fork_gate:
            is_held = _try_file(mutex)
        if is_held:
            return True
        if is_held is None:
            continue
        if deadline is not None and time.monotonic() >= deadline:
            return False
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _try_file(mutex: _Mutex) -> bool | None:
    """Whether the file is locked by us now; ``None`` if its holder has just removed it, so that another one is to be tried."""
    path = mutex.path or ""
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_current = _is_current(
            descriptor, path
        )  # else the holder before us unlinked it between our open and our flock
    except BlockingIOError:
        os.close(descriptor)
        return False
    except BaseException:
        os.close(descriptor)
        raise
    if not is_current:
        os.close(descriptor)
        return None
    mutex.descriptor = descriptor
    return True


def _open(path: str) -> int:
    while True:
        try:
            return create_file(path)
        except FileExistsError:
            with contextlib.suppress(FileNotFoundError):  # its holder has just removed it
                return os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
        except FileNotFoundError:
            make_folder(os.path.dirname(path))


def _is_current(descriptor: int, path: str) -> bool:
    try:
        return os.fstat(descriptor).st_ino == os.stat(path).st_ino
    except FileNotFoundError:
        return False


def _unlock_file(mutex: _Mutex) -> None:
    with _fork_gate:
        descriptor, mutex.descriptor = mutex.descriptor, -1
        try:
            # While it is held: whoever waits on this inode will see that the path is gone, and opens a new file.
            os.unlink(mutex.path or "")
        except FileNotFoundError:
            pass  # the stash's folder was removed meanwhile
        finally:
            os.close(descriptor)


def _close_gate() -> None:
    _fork_gate.acquire()


def _open_gate() -> None:
    _fork_gate.release()


def _forget_in_child() -> None:
    global _fork_gate, _table_lock
    _fork_gate = threading.RLock()
    _table_lock = threading.Lock()
    for mutex in _mutexes.values():
        if mutex.descriptor >= 0:
            os.close(mutex.descriptor)  # else the parent's lock would live as long as this child
    _mutexes.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_close_gate,
        after_in_parent=_open_gate,
        after_in_child=_forget_in_child,
    )
