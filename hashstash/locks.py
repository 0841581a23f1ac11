"""One lock per name, over threads and processes.

No stripes: two names never share a lock, so functions that call each other under their own locks cannot deadlock unless they
recurse for ever. A lock is a ``flock`` on a small file, which the system frees when its holder dies, and a mutex before it
for the threads of this process.

An interrupt (KeyboardInterrupt) may come between any two steps of ours, and no lock may stay held after it. So every hold has a
token, and giving it back is a step that may be repeated, and is where an interrupt came in between. A signal handler or a
finalizer may come there too, and take the same lock: while the hold that it has come into is noted, it gives nothing back but
its own; else it gives back all, and what goes on after it looks again whether the lock is this thread's.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import threading
import time
from abc import ABC, abstractmethod
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, ClassVar, Self

from hashstash import forks
from hashstash.leaving import Closing
from hashstash.paths import create_file, make_folder
from hashstash.processes import lock_holder, named
from hashstash.refusals import locate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

try:
    import fcntl
except ImportError:  # no flock on this system: locks reach as far as the process
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

_FIRST_PAUSE = 0.001
_LONGEST_PAUSE = 0.05
_ENDING = ".lock"
_LONGEST_NOTE = 4096
LONG_WAIT = 10.0
"""Seconds of waiting after which who waits is told for whom."""


# ---- what every lock does ----------------------------------------------------------------------------------------------


class _SafeExit:
    """The ``__exit__`` of locks, whose instance is asked for before ``__enter__`` is called."""

    def __get__(self, lock: Lock | None, kind: type) -> Callable[..., None]:
        return _leave if lock is None else lock._closing.__exit__  # noqa: SLF001


def _leave(lock: Lock, *_exception: object) -> None:
    """``__exit__`` for those who ask the class for it, such as ExitStack."""
    lock._closing.__exit__(None, None, None)  # noqa: SLF001


class Lock(ABC):
    """A context manager that keeps others out. The thread that holds it may enter again; a forked child holds nothing."""

    __slots__ = ("_closing", "_holds", "may_fail", "tell")
    __exit__: ClassVar[_SafeExit] = _SafeExit()

    def __init__(self) -> None:
        self._closing = Closing()
        self._holds: list[object] = []
        """A token for each time that :meth:`acquire` was successful and nothing was given back yet."""
        self.may_fail: tuple[type[Exception], ...] = ()
        """With these errors the ``with`` block runs all the same, and nobody is kept out."""
        self.tell: Callable[[str], None] | None = None
        """Called once when a wait without a limit takes long, with the name of who is waited for."""

    @abstractmethod
    def take(self, hold: object, timeout: float | None) -> bool:
        """Whether the lock is held now under that token. Whatever happens, :meth:`let_go` comes afterwards."""

    @abstractmethod
    def let_go(self, hold: object) -> None:
        """Give back what is held under that token, be it nothing, a part or all of the lock. Doing it twice changes nothing."""

    def leave_note(self, note: bytes) -> None:  # noqa: B027 - nothing where a lock has no file
        """For those who wait: a few bytes, for as long as the lock is held."""

    def note(self) -> bytes:
        """What the holder has left, or nothing."""
        return b""

    def holder(self) -> str:
        """Who holds the lock, as people are told, as far as that can be known."""
        return "another process"

    def acquire(self, timeout: float | None = None) -> bool:
        """Wait at most *timeout* seconds (``None``: for ever) for the lock; return whether it is now held."""
        hold = object()
        try:
            if self.take(hold, timeout):
                self._holds.append(hold)
                return True
        except BaseException:
            self._give_back(hold)
            raise
        self._give_back(hold)
        return False

    def release(self) -> None:
        """Give the lock back; the waiting thread or process that comes first gets it. After an interrupt, call it again."""
        if self._holds:
            self._give_back(self._holds[-1])

    def _give_back(self, hold: object) -> None:
        self.let_go(hold)
        if hold in self._holds:
            self._holds.remove(hold)

    def __enter__(self) -> Self:
        hold = object()
        holding = self._until_closed(hold, self._closing.close)
        next(holding)
        self._closing.close = holding.close  # type: ignore[attr-defined]
        try:
            self.take(hold, None)
            return self
        except self.may_fail:
            self.let_go(hold)
            return self
        except BaseException:
            holding.close()  # type: ignore[attr-defined]
            raise

    def _until_closed(self, hold: object, close_before: Callable[[], None]) -> Iterator[None]:
        try:
            try:
                yield
            finally:
                self._closing.close = close_before
                self.let_go(hold)
        finally:  # an interrupt may have come in between
            self._closing.close = close_before
            self.let_go(hold)


# ---- threads and processes of one machine -------------------------------------------------------------------------------


_Key = tuple[str | None, str]


class _Mutex:
    """The part of a lock that lives in this process; kept while anybody holds it or waits for it."""

    __slots__ = ("between", "file", "holds", "path", "thread_lock", "users")

    def __init__(self, path: str | None) -> None:
        self.path = path
        self.thread_lock: Any = threading.RLock()
        """Taken once by the thread that holds the lock, however often that has entered."""
        self.users: set[object] = set()
        self.holds: dict[object, int] = {}
        """With the thread of each; of those of other threads, none has the lock."""
        self.file: io.FileIO | None = None
        """The lock file, while it is locked."""
        self.between: io.FileIO | None = None
        """The one that is being locked or given back: by whom a handler has interrupted, so that to wait would be for ever."""

    def has_other(self, hold: object) -> bool:
        """Whether this thread has another hold than that one."""
        if len(self.holds) == (hold in self.holds):
            return False
        me = threading.get_ident()
        return any(each is not hold and thread == me for each, thread in list(self.holds.items()))


_mutexes: dict[_Key, _Mutex] = {}
_table_lock = threading.RLock()
_fork_gate = threading.RLock()
"""Held while a lock file is opened or closed: a process forked meanwhile would keep a descriptor that it does not know of, and
with it the lock of a parent that is killed. Reentrant, for signal handlers that fork."""


class KeyLock(Lock):
    """Inside of it, no other thread or process is inside of the same folder's lock of that name.

    ``folder=None`` locks within this process.
    """

    __slots__ = ("folder", "name")

    def __init__(self, folder: str | None, name: str) -> None:
        super().__init__()
        self.folder = folder
        self.name = name

    def is_last(self, hold: object) -> bool:
        """Whether this thread holds the lock, and only under that token."""
        mutex = _mutexes.get((self.folder, self.name))
        return mutex is not None and _is_ours(mutex) and hold in mutex.holds and not mutex.has_other(hold)

    def leave_note(self, note: bytes) -> None:
        mutex = _mutexes.get((self.folder, self.name))
        if mutex is not None and mutex.file is not None:
            descriptor = mutex.file.fileno()
            # A killed holder's gives way. An empty file is not emptied: some file systems send what was to the disk at once.
            if os.fstat(descriptor).st_size:
                os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, note, 0)

    def note(self) -> bytes:
        path = _lock_path(self.folder, self.name)
        try:
            with open(path or os.devnull, "rb") as file:
                return file.read(_LONGEST_NOTE)
        except OSError:
            return b""

    def holder(self) -> str:
        mutex = _mutexes.get((self.folder, self.name))
        path = _lock_path(self.folder, self.name)
        if path is None or (mutex is not None and mutex.file is not None):
            return named(os.getpid())
        return lock_holder(path)

    def take(self, hold: object, timeout: float | None) -> bool:
        deadline = None if timeout is None else time.monotonic() + timeout
        mutex = _enter((self.folder, self.name), hold)
        while hold not in mutex.holds:
            if not _is_ours(mutex) and not self._lock_thread(mutex, timeout):
                return False
            mutex.holds[hold] = threading.get_ident()
            if not _is_ours(mutex):  # what came in between has given it back
                del mutex.holds[hold]
        return mutex.path is None or _lock_file(mutex, mutex.path, deadline, self.tell)

    def _lock_thread(self, mutex: _Mutex, timeout: float | None) -> bool:
        if timeout is not None or self.tell is None:
            return bool(mutex.thread_lock.acquire(timeout=-1 if timeout is None else timeout))
        if not mutex.thread_lock.acquire(timeout=LONG_WAIT):
            self.tell(named(os.getpid()))
            mutex.thread_lock.acquire()
        return True

    def let_go(self, hold: object) -> None:
        key = self.folder, self.name
        mutex = _mutexes.get(key)
        if mutex is None:
            return  # all was done, or this is a forked child, which holds nothing
        me = threading.get_ident()
        if mutex.holds.get(hold, me) != me:
            raise RuntimeError(f"the lock {self.name!r} is given back by a thread that does not hold it")
        while _is_ours(mutex) and not mutex.has_other(hold):
            mutex.holds[hold] = me  # so that what comes in between does not give back what is given back here
            if _is_ours(mutex):
                _unlock_file(mutex)
            mutex.holds.pop(hold, None)
            if mutex.file is None:
                with contextlib.suppress(RuntimeError):  # what came in between has done it
                    mutex.thread_lock.release()
        mutex.holds.pop(hold, None)
        with _table_lock:
            mutex.users.discard(hold)
            if not mutex.users and _mutexes.get(key) is mutex:
                _mutexes.pop(key, None)


def _is_ours(mutex: _Mutex) -> bool:
    return bool(mutex.thread_lock._is_owned())  # noqa: SLF001 - what threading.Condition asks of a lock


def _enter(key: _Key, user: object) -> _Mutex:
    with _table_lock:
        while True:
            mutex = _mutexes.get(key)
            if mutex is None:
                mutex = _mutexes.setdefault(key, _Mutex(_lock_path(*key)))
            mutex.users.add(user)
            if _mutexes.get(key) is mutex:  # else what came in between was its only user, and has forgotten it
                return mutex


def _lock_path(folder: str | None, name: str) -> str | None:
    if folder is None or fcntl is None:
        return None
    return os.path.join(folder, blake2b(name.encode(), digest_size=16).hexdigest() + _ENDING)


def _lock_file(mutex: _Mutex, path: str, deadline: float | None, tell: Callable[[str], None] | None) -> bool:
    pause, began = _FIRST_PAUSE, 0.0
    while mutex.file is None:
        with _fork_gate:
            mutex.file = _locked(path, mutex) or mutex.file  # which a handler may have locked meanwhile
        if mutex.file is None:
            if deadline is not None and time.monotonic() >= deadline:
                return False
            began = began or time.monotonic()
            if tell is not None and deadline is None and time.monotonic() - began >= LONG_WAIT:
                tell(lock_holder(path))
                tell = None
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
    return True


def _locked(path: str, mutex: _Mutex | None = None) -> io.FileIO | None:
    """The file, locked by us; ``None`` if somebody else has locked it."""
    before = None if mutex is None else mutex.between
    while True:
        # No bare descriptor, which an interrupt could leave open: an object closes it when it is forgotten.
        file = io.FileIO(path, "r+", opener=_open)
        try:
            if mutex is not None:
                mutex.between = file
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_current(file, path):  # else the holder before us unlinked it between our open and our flock
                return file
            file.close()
        except BlockingIOError:
            file.close()
            return before if before is not None and _is_locked_again(before, path) else None
        except BaseException as error:
            file.close()
            if isinstance(error, OSError):
                locate(error, path)
            raise


def _is_locked_again(file: io.FileIO, path: str) -> bool:
    """Whether a file that was open already is locked now: it may have been, by what has been interrupted."""
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        return _is_current(file, path)
    except (OSError, ValueError):  # it is somebody else's; or it is closed
        return False


def _open(path: str, _flags: int) -> int:
    while True:
        try:
            return create_file(path)
        except FileExistsError:
            try:
                return os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
            except FileNotFoundError:  # its holder has just removed it
                continue
        except FileNotFoundError:
            make_folder(os.path.dirname(path))


def _is_current(file: io.FileIO, path: str) -> bool:
    try:
        return os.fstat(file.fileno()).st_ino == os.stat(path).st_ino
    except FileNotFoundError:
        return False


def _unlock_file(mutex: _Mutex) -> None:
    with _fork_gate:
        file = mutex.between = mutex.file or mutex.between
        mutex.file = None
        if file is None:
            return
        try:
            # While it is held: whoever waits on this inode will see that the path is gone, and opens a new file. That must not
            # be removed, if it is there already since an interrupt came after our first try.
            if not file.closed and _is_current(file, mutex.path or ""):
                os.unlink(mutex.path or "")
        except OSError as error:
            # The folder was removed meanwhile; or the file stays, which whoever comes next locks, or a sweep removes.
            logger.debug("%s stays: %s", mutex.path, error)
        finally:
            file.close()


def sweep(folder: str) -> int:
    """Remove the lock files in *folder* that nobody holds, as processes leave them that are killed; return how many."""
    removed = 0
    try:
        names = [name for name in os.listdir(folder) if name.endswith(_ENDING)] if fcntl is not None else []
    except (FileNotFoundError, NotADirectoryError):
        return 0
    for name in names:
        path = os.path.join(folder, name)
        with _fork_gate:
            file = _locked(path)
            if file is not None:
                with file:
                    os.unlink(path)  # while it is held, as in _unlock_file
                removed += 1
    return removed


def _forget_in_child() -> None:
    global _table_lock
    _table_lock = threading.RLock()
    for mutex in _mutexes.values():
        for file in (mutex.file, mutex.between):
            if file is not None:
                file.close()  # else the parent's lock would live as long as this child
    _mutexes.clear()


forks.in_child(_forget_in_child)
forks.hold(_fork_gate)
